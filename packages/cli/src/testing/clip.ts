/** A small CLIP of random weights and pictures of plain colours, for tests of what works with both. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { encodePng } from "@wgrad/image/node";
import { savePretrained, writeFileAtomic, writeJsonFile } from "@wgrad/models/node";
import { withDevice } from "../device.js";
import { MAX_LENGTH, makeModel, PREPROCESSOR } from "../labs/clip-shapes/model.js";
import { writeClipTokenizer } from "../labs/clip-shapes/tokenizer.js";

/** A folder with a CLIP of random weights whose tokenizer knows the words of some texts. */
export async function makeTinyClip(folder: string, texts: readonly string[]): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const vocabulary = await writeClipTokenizer(folder, texts, MAX_LENGTH);
  await withDevice({}, async (device) => {
    const model = makeModel(device, vocabulary, 1);
    await savePretrained(model, folder);
    model.dispose();
  });
  await writeJsonFile(join(folder, "preprocessor_config.json"), PREPROCESSOR);
  return folder;
}

/** Classes of {@link makePictures}, by their colours. */
export const COLOURS = {
  red_sky: [200, 30, 30],
  green_hill: [30, 180, 40],
  blue_lake: [30, 40, 200],
} as const;

/** A folder of pictures, a folder a class, with splits `train` and `validation`. */
export async function makePictures(folder: string, each: number): Promise<string> {
  for (const split of ["train", "validation"]) {
    for (const [name, colour] of Object.entries(COLOURS)) {
      const place = join(folder, split, name);
      mkdirSync(place, { recursive: true });
      for (let i = 0; i < each; i++) {
        const [width, height] = [40 + i, 36];
        const data = Uint8Array.from({ length: width * height * 3 }, (_, at) =>
          Math.min(255, colour[at % 3]! + ((at * (i + 3)) % 19) + (split === "train" ? 0 : 7)),
        );
        await writeFileAtomic(join(place, `${i}.png`), await encodePng({ data, width, height }));
      }
    }
  }
  return folder;
}
