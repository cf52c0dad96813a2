/** Image processors in folders. */
import { join } from "node:path";
import { ImageProcessorError } from "../errors.js";
import { readTextIfThere, writeFileAtomic } from "../files.js";
import { type ResolveOptions, resolveModel } from "../hub/resolve.js";
import { CLIPImageProcessor, IMAGE_PROCESSOR_FILE } from "./clip.js";

/** Where transformers 5 keeps the settings of all parts of a processor. */
const PROCESSOR_FILE = "processor_config.json";

const writeText = (folder: string, name: string, text: string): Promise<void> =>
  writeFileAtomic(join(folder, name), text);

/** Opens the image processor of a model. */
export const AutoImageProcessor = {
  /**
   * @param nameOrFolder A folder with preprocessor_config.json (or processor_config.json), or a hub id such as
   *   `openai/clip-vit-base-patch16`.
   * @throws HubError if there is no such folder or model; ImageProcessorError if its file cannot be used.
   */
  async fromPretrained(nameOrFolder: string, options: ResolveOptions = {}): Promise<CLIPImageProcessor> {
    const folder = await resolveModel(nameOrFolder, { ...options, needs: "processor" });
    for (const name of [IMAGE_PROCESSOR_FILE, PROCESSOR_FILE]) {
      const file = join(folder, name);
      const text = await readTextIfThere(file);
      if (text === undefined) continue;
      let json: unknown;
      try {
        json = JSON.parse(text);
      } catch (cause) {
        throw new ImageProcessorError(
          "E_IMAGE_PROCESSOR_CONFIG",
          `${file}: not valid JSON (${(cause as Error).message}).`,
          { cause },
        );
      }
      const settings =
        name === PROCESSOR_FILE ? (json as { image_processor?: unknown })?.image_processor : json;
      // A processor without pictures has nothing to say here.
      if (settings === undefined && name === PROCESSOR_FILE) continue;
      return CLIPImageProcessor.fromJson(settings as Record<string, unknown>, file, writeText);
    }
    throw new ImageProcessorError(
      "E_IMAGE_PROCESSOR_CONFIG",
      `${join(folder, PROCESSOR_FILE)}: no image_processor in it, and no ${IMAGE_PROCESSOR_FILE} beside it.`,
    );
  },
};
