/** A CLIP of some ten thousand weights for tests, and a tokenizer of the published CLIP's kind with a few words in it. */

const WORDS = ["photo", "of", "red", "green", "blue", "circle", "square"];
const START = "<|startoftext|>";
const END = "<|endoftext|>";

/** Byte-level BPE: the printable characters that stand for bytes, in the order of CLIP's vocabulary. */
function byteCharacters(): string[] {
  const printable = (byte: number) =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
  const bytes = Array.from({ length: 256 }, (_, byte) => byte);
  const others = bytes.filter((byte) => !printable(byte)).map((_, i) => 256 + i);
  return [...bytes.filter(printable), ...others].map((code) => String.fromCodePoint(code));
}

function merges(): [string, string][] {
  const found = new Map<string, [string, string]>();
  for (const word of WORDS) {
    const letters = [...word];
    letters[letters.length - 1] += "</w>";
    letters.reduce((left, right) => {
      found.set(`${left} ${right}`, [left, right]);
      return left + right;
    });
  }
  return [...found.values()];
}

const vocabulary = [
  ...byteCharacters(),
  ...byteCharacters().map((character) => `${character}</w>`),
  ...merges().map((pair) => pair.join("")),
  START,
  END,
];
const idOf = (token: string): number => vocabulary.indexOf(token);

/** The id that ends a text, whose place is pooled. */
export const endId = idOf(END);

const special = (content: string) => ({
  id: idOf(content),
  content,
  single_word: false,
  lstrip: false,
  rstrip: false,
  normalized: false,
  special: true,
});

/** `tokenizer.json` and `tokenizer_config.json` by name. */
export const tokenizerFiles: Record<string, unknown> = {
  "tokenizer.json": {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [special(START), special(END)],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        {
          type: "Split",
          pattern: {
            Regex:
              "<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+",
          },
          behavior: "Removed",
          invert: true,
        },
        { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
      ],
    },
    post_processor: {
      type: "RobertaProcessing",
      sep: [END, endId],
      cls: [START, idOf(START)],
      trim_offsets: false,
      add_prefix_space: false,
    },
    decoder: { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true },
    model: {
      type: "BPE",
      dropout: null,
      unk_token: END,
      continuing_subword_prefix: "",
      end_of_word_suffix: "</w>",
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.map((token, id) => [token, id])),
      merges: merges(),
    },
  },
  "tokenizer_config.json": {
    tokenizer_class: "CLIPTokenizer",
    model_max_length: 16,
    bos_token: START,
    eos_token: END,
    unk_token: END,
    pad_token: END,
    do_lower_case: true,
  },
};

/** Rows and columns of a picture. */
export const SIZE = 32;

/** `config.json`. */
export const configJson = {
  model_type: "clip",
  projection_dim: 24,
  text_config: {
    model_type: "clip_text_model",
    hidden_size: 32,
    intermediate_size: 64,
    num_attention_heads: 4,
    num_hidden_layers: 2,
    max_position_embeddings: 16,
    vocab_size: vocabulary.length,
    bos_token_id: idOf(START),
    eos_token_id: endId,
    pad_token_id: endId,
    projection_dim: 24,
  },
  vision_config: {
    model_type: "clip_vision_model",
    hidden_size: 48,
    intermediate_size: 96,
    num_attention_heads: 4,
    num_hidden_layers: 2,
    image_size: SIZE,
    patch_size: 8,
    projection_dim: 24,
  },
};
