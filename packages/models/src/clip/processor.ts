/** Texts and pictures together, as CLIP takes them. */
import type { RawImage } from "@wgrad/image";
import { ImageProcessorError } from "../errors.js";
import type { CLIPImageProcessor, PixelValues } from "../image-processor/clip.js";
import { callable } from "../tokenizer/callable.js";
import type { PreTrainedTokenizer } from "../tokenizer/tokenizer.js";
import type { BatchEncoding, TokenizeOptions } from "../tokenizer/types.js";

/** What a call of `CLIPProcessor` takes: texts, pictures, or both. */
export interface CLIPProcessorInput extends Omit<TokenizeOptions, "textPair"> {
  text?: string | readonly string[];
  images?: RawImage | readonly RawImage[];
}

/** What it gives. One text makes a batch of one. */
export type CLIPProcessorOutput = Partial<BatchEncoding> & Partial<PixelValues>;

type Call = (input: CLIPProcessorInput) => CLIPProcessorOutput;

/**
 * Tokenizer and image processor of a CLIP model. Called with `{ text, images }`; unlike in transformers texts are padded to the longest
 * and cut at the model's length (77 for CLIP) unless `padding` and `truncation` say otherwise, since a batch needs one length.
 */
export class CLIPProcessor extends callable<Call>() {
  constructor(
    readonly tokenizer: PreTrainedTokenizer,
    readonly imageProcessor: CLIPImageProcessor,
  ) {
    super();
  }

  /** @throws ImageProcessorError `E_IMAGE_PROCESSOR_INPUT` without text and pictures; what tokenizer and image processor throw */
  override call: Call = ({ text, images, ...options }) => {
    if (text === undefined && images === undefined)
      throw new ImageProcessorError(
        "E_IMAGE_PROCESSOR_INPUT",
        "CLIPProcessor: neither text nor images were given.",
      );
    const texts = typeof text === "string" ? [text] : text;
    return {
      ...(texts && this.tokenizer(texts, { padding: true, truncation: true, ...options })),
      ...(images && this.imageProcessor.preprocess(images)),
    };
  };

  /**
   * Writes the files of both into one folder.
   * @returns The names of the files.
   */
  async savePretrained(folder: string): Promise<string[]> {
    return [
      ...(await this.tokenizer.savePretrained(folder)),
      ...(await this.imageProcessor.savePretrained(folder)),
    ];
  }
}
