/** CLIP's processor in folders. */
import type { ResolveOptions } from "../hub/resolve.js";
import { AutoImageProcessor } from "../image-processor/node.js";
import { AutoTokenizer } from "../tokenizer/node.js";
import { CLIPProcessor } from "./processor.js";

/** Opens the tokenizer and the image processor of a model. */
export const AutoProcessor = {
  /**
   * @param nameOrFolder A folder with tokenizer.json and preprocessor_config.json, or a hub id such as `openai/clip-vit-base-patch16`.
   * @throws HubError if there is no such folder or model; TokenizerError or ImageProcessorError if the files cannot be used.
   */
  async fromPretrained(nameOrFolder: string, options: ResolveOptions = {}): Promise<CLIPProcessor> {
    const imageProcessor = await AutoImageProcessor.fromPretrained(nameOrFolder, options);
    return new CLIPProcessor(await AutoTokenizer.fromPretrained(nameOrFolder, options), imageProcessor);
  },
};
