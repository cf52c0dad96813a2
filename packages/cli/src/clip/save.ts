/** Folders of runs of the labs on a frozen CLIP, as `wgrad report` and `wgrad compare` read them. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type EncodedImage, imageBytes, permutation } from "@wgrad/datasets";
import { decodeImage } from "@wgrad/image/node";
import { writeFileAtomic } from "@wgrad/models/node";
import { toSnakeCase } from "@wgrad/trainer";
import { stringify } from "yaml";
import { embedPictures, type GridCell, pictureGrid } from "../report/picture-grid.js";
import { type Prediction, writePictures } from "../runs/run-folder.js";
import { formatCount } from "../ui.js";
import type { ImageSource } from "./collect.js";
import { crossEntropy, predictionsOf, softmax, topClasses } from "./scores.js";

/** Writes `recipe.yaml`, ready to be run again. */
export async function writeRecipe(
  folder: string,
  lab: string,
  settings: Readonly<Record<string, unknown>>,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const recipe = Object.fromEntries(
    Object.entries(settings)
      .filter(([, value]) => value !== null && value !== undefined)
      .map(([name, value]) => [toSnakeCase(name), value]),
  );
  await writeFileAtomic(join(folder, "recipe.yaml"), `# Written by wgrad.\n${stringify({ lab, ...recipe })}`);
}

/** `clip-tiny on pictures`: the last parts of the names of a model and a data set. */
export function subjectOf(model: string, dataset: string): string {
  const last = (name: string) => name.split(/[\\/]/).filter(Boolean).at(-1) ?? name;
  return `${last(model)} on ${last(dataset)}`;
}

/** Logits of a split with what they are of. */
export interface Judged {
  source: ImageSource;
  /** [N, K] */
  logits: Float32Array | Float64Array;
  /** [N]; -1 where the class is unknown or the picture could not be read */
  labels: Int32Array;
}

/** Lines of `predictions-<split>.jsonl`. */
export function predictionRows({ source, logits, labels }: Judged, classes: number): Prediction[] {
  const predictions = predictionsOf(logits, classes);
  return Array.from(labels, (label, i) => {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    return {
      text: nameOf(source.images(i, i + 1)[0]!, source.name, i),
      label: label < 0 ? null : label,
      prediction: predictions[i]!,
      // Five digits are more than the logits are worth, and a third of the file.
      logits: Array.from(row, (z) => Number(z.toPrecision(5))),
      loss: label < 0 ? null : crossEntropy(row, label),
    };
  });
}

function nameOf({ path }: EncodedImage, split: string, row: number): string {
  return path ? path.split(/[\\/]/).at(-1)! : `picture ${row} of ${split}`;
}

/** Which pictures {@link saveGrid} shows. */
export interface GridSettings {
  title: string;
  /** How many; 0 for no grid. */
  count: number;
  /** They are drawn with it. */
  seed: number;
  /** [N]: 1 where the picture could be read */
  ok: Int32Array;
}

/** Writes `grid.png`, `grid.html` and `pictures.json`: some pictures of a split with what was said of them. */
export async function saveGrid(
  folder: string,
  { source, logits, labels }: Judged,
  names: readonly string[],
  { title, count, seed, ok }: GridSettings,
): Promise<void> {
  const classes = names.length;
  const readable = Array.from(ok.keys()).filter((row) => ok[row] === 1);
  const rows = Array.from(permutation(readable.length, seed).subarray(0, count), (i) => readable[i]!);
  if (rows.length === 0) return;
  const cells: GridCell[] = [];
  for (const row of rows) {
    const image = await decodeImage(imageBytes(source.images(row, row + 1)[0]!));
    const own = logits.subarray(row * classes, (row + 1) * classes);
    const label = labels[row]!;
    cells.push({ image, ...captionOf(own, names, label) });
  }
  const right = cells.filter((cell) => cell.right).length;
  const judged = cells.filter((cell) => cell.right !== undefined).length;
  const drawn = `drawn with seed ${seed} from the ${formatCount(readable.length)} of ${source.name}`;
  const subtitle =
    judged > 0 ? `${right} of ${judged} pictures are right, ${drawn}` : `${rows.length} pictures, ${drawn}`;
  const grid = pictureGrid({ title, subtitle, cells });
  await writeFileAtomic(join(folder, "grid.png"), await grid.png());
  await writeFileAtomic(join(folder, "grid.html"), await grid.html());
  await writePictures(folder, {
    split: source.name,
    title: subtitle,
    pictures: await embedPictures(cells),
  });
}

/** What stands below a picture: the predicted class with its probability, and the true one. */
export function captionOf(
  logits: ArrayLike<number>,
  names: readonly string[],
  label: number,
): { lines: string[]; right?: boolean } {
  const [best] = topClasses(logits, 1);
  const probability = softmax(logits)[best!]!;
  const first = `${names[best!]} ${percentOf(probability)}`;
  if (label < 0) return { lines: [first] };
  return { lines: [first, `true: ${names[label]}`], right: best === label };
}

/** `83 %`, `0.4 %` */
export function percentOf(share: number): string {
  const percent = share * 100;
  return `${percent >= 9.95 || percent === 0 ? percent.toFixed(0) : percent.toFixed(1)}\u00a0%`;
}
