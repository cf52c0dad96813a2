// A CLIP small enough to train while you wait: squares and rings in three colours, and texts of three words.
import { CLIPImageProcessor, CLIPModel, CLIPProcessor, clipConfig } from "@wgrad/models";
import { AutoTokenizer } from "@wgrad/models/tokenizer";
import { AdamW, manualSeed, scope, Tensor } from "@wgrad/tensor";

const SIZE = 24;
const COLOURS = { red: [220, 40, 40], green: [30, 160, 70], blue: [40, 80, 210] };
const FORMS = {
  square: (x, y) => Math.max(Math.abs(x), Math.abs(y)) < 6,
  ring: (x, y) => Math.abs(Math.hypot(x, y) - 6) < 2,
};

export const labels = Object.keys(COLOURS).flatMap((colour) =>
  Object.keys(FORMS).map((form) => `${colour} ${form}`),
);

/** A picture of a label: { data, width, height }, as a decoded file is. */
export function draw(label, random) {
  const [colour, form] = label.split(" ");
  const [left, top] = [8 + random() * 8, 8 + random() * 8];
  const data = new Uint8Array(SIZE * SIZE * 3);
  for (let i = 0; i < data.length; i++) {
    const pixel = Math.floor(i / 3);
    const isInside = FORMS[form]((pixel % SIZE) - left, Math.floor(pixel / SIZE) - top);
    data[i] = (isInside ? COLOURS[colour][i % 3] : 235) + random() * 20;
  }
  return { data, width: SIZE, height: SIZE };
}

const words = ["[START]", "[END]", "[UNK]", "a", "red", "green", "blue", "square", "ring"];
const special = {
  "[START]": { id: "[START]", ids: [0], tokens: ["[START]"] },
  "[END]": { id: "[END]", ids: [1], tokens: ["[END]"] },
};

/** Tokenizer and image processor: what a folder holds as tokenizer.json and preprocessor_config.json. */
export const processor = new CLIPProcessor(
  AutoTokenizer.fromFiles({
    tokenizerJson: {
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "WhitespaceSplit" },
      model: {
        type: "WordPiece",
        unk_token: "[UNK]",
        vocab: Object.fromEntries(words.map((word, id) => [word, id])),
      },
      post_processor: {
        type: "TemplateProcessing",
        single: ["[START]", "A", "[END]"].map((id) =>
          id === "A" ? { Sequence: { id, type_id: 0 } } : { SpecialToken: { id, type_id: 0 } },
        ),
        pair: [],
        special_tokens: special,
      },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
    },
    tokenizerConfig: { pad_token: "[END]", eos_token: "[END]", unk_token: "[UNK]", model_max_length: 8 },
  }),
  new CLIPImageProcessor({ size: SIZE, cropSize: SIZE }),
);

const tower = {
  hidden_size: 32,
  intermediate_size: 64,
  num_attention_heads: 2,
  num_hidden_layers: 1,
  projection_dim: 32,
};

/** A CLIPModel after `steps` batches. */
export async function trainTinyClip(device, random, { steps = 90, onStep = () => {} } = {}) {
  manualSeed(device, 1);
  const model = new CLIPModel(
    device,
    clipConfig({
      projection_dim: 32,
      text_config: { ...tower, vocab_size: words.length, max_position_embeddings: 8, eos_token_id: 1 },
      vision_config: { ...tower, image_size: SIZE, patch_size: 6 },
    }),
  ).initAllWeights();
  const optimizer = new AdamW([...model.parameters()], { lr: 2e-3 });
  const ids = processor({ text: labels.map((label) => `a ${label}`) }).inputIds;
  const inputIds = Tensor.from(device, Int32Array.from(ids.flat()), [ids.length, ids[0].length]);
  model.train();
  for (let step = 0; step <= steps; step++) {
    // A batch has each label once: the contrastive loss takes every other text of the batch for a wrong one.
    const { pixelValues, shape } = processor({ images: labels.map((label) => draw(label, random)) });
    const loss = scope(() => {
      const output = model.forward({
        inputIds,
        pixelValues: Tensor.from(device, pixelValues, shape),
        returnLoss: true,
      });
      optimizer.zeroGrad();
      output.loss.backward();
      optimizer.step();
      model.clampLogitScale();
      return output.loss;
    });
    if (step % 30 === 0) onStep(step, await loss.item());
    loss.dispose();
  }
  optimizer.dispose();
  inputIds.dispose();
  return model;
}
