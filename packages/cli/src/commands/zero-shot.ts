import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { extname, join } from "node:path";
import { decodeImage } from "@wgrad/image/node";
import { writeFileAtomic } from "@wgrad/models/node";
import { collectFeatures } from "../clip/collect.js";
import { checkNames, DEFAULT_TEMPLATE, expandTemplates, promptsOf } from "../clip/prompts.js";
import { percentOf } from "../clip/save.js";
import { ensembleOf, similarityLogits, softmax, topClasses, unitRows } from "../clip/scores.js";
import { CommandError, UsageError } from "../errors.js";
import { wholeNumber } from "../numbers.js";
import { type GridCell, pictureGrid } from "../report/picture-grid.js";
import { formatTable } from "../text/table.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";

interface Flags {
  json?: boolean;
  labels?: string;
  labelsFile?: string;
  template?: string[];
  model: string;
  topK: number;
  grid?: string;
  columns?: number;
  batchSize: number;
  numWorkers: number;
  skipUnreadable?: boolean;
  featuresDir?: string;
  offline?: boolean;
}

/** What the model says of one picture. */
export interface PictureVerdict {
  /** The file. */
  picture: string;
  /** Null where the picture could not be read. */
  label: string | null;
  /** Of the label. */
  probability: number | null;
  /** Of every label. */
  probabilities: Record<string, number>;
}

/** Endings of files that are taken from folders. */
const ENDINGS = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif"]);

/** `wgrad zero-shot`. */
export const zeroShot: Verb = {
  define(command, context) {
    command
      .description(
        "Say which of some labels fits each picture, by a CLIP that has not been trained for them: the picture is compared with a prompt of each label.",
      )
      .argument("<pictures...>", "files, or folders whose pictures are taken, also from folders inside")
      .option("--labels <names>", "what the pictures may show, with commas between")
      .option("--labels-file <file>", "the same, a label a line")
      .option(
        "--template <text>",
        `what a label is put into, at {} (repeatable: several are averaged; imagenet-7 for seven of OpenAI's; default: "${DEFAULT_TEMPLATE}")`,
        (text: string, before: string[] = []) => [...before, text],
      )
      .option(
        "--model <dir>",
        "folder or hub id of a CLIP, or the folder of an adapter",
        "openai/clip-vit-base-patch16",
      )
      .option("--top-k <n>", "labels to show for a picture, where not all have room", wholeNumber(1), 3)
      .option("--grid <file>", "also write the pictures with their labels, as .html or .png")
      .option("--columns <n>", "pictures beside each other in it (default: 4 to 8)", wholeNumber(1))
      .option("--batch-size <n>", "pictures a forward pass", wholeNumber(1), 16)
      .option("--num-workers <n>", "threads that decode pictures", wholeNumber(0), 2)
      .option("--skip-unreadable", "leave out pictures that cannot be read, instead of failing")
      .option("--features-dir <dir>", "keep the features there, for other labels and other pictures")
      .option("--offline", "never touch the network")
      .addHelpText(
        "after",
        examples([
          ['wgrad zero-shot photo.jpg --labels "cat,dog,car"', "one picture"],
          [
            "wgrad zero-shot holiday/ --labels-file labels.txt --grid holiday.html",
            "a folder, and a page of it",
          ],
          ['wgrad zero-shot *.png --labels "cat,dog" --template "a drawing of a {}"', "another prompt"],
          ['wgrad zero-shot photo.jpg --labels "cat,dog" --json', "with the probability of every label"],
        ]),
      )
      .action(async (given: string[], flags: Flags) => {
        const ui = context.ui(flags);
        const labels = labelsOf(flags);
        const templates = expandTemplates(flags.template ?? [DEFAULT_TEMPLATE]);
        checkGrid(flags.grid);
        const files = given.flatMap(picturesOf);
        const verdicts = await classifyPictures(files, labels, templates, flags, ui);
        ui.result(formatVerdicts(verdicts, labels, flags.topK));
        if (flags.grid) {
          await writeGrid(flags.grid, verdicts, flags);
          ui.note(`${flags.grid}: the pictures with their labels`);
        }
        ui.document(verdicts);
      });
  },
};

function labelsOf({ labels, labelsFile }: Flags): string[] {
  if (labels !== undefined && labelsFile !== undefined)
    throw new UsageError("--labels and --labels-file say the same: give one of them.");
  if (labels !== undefined) return checkNames(labels.split(","), "--labels");
  if (labelsFile !== undefined) {
    if (!existsSync(labelsFile) || statSync(labelsFile).isDirectory())
      throw new UsageError(
        `--labels-file ${labelsFile}: there is no such file. Give one with a label a line.`,
      );
    return checkNames(readFileSync(labelsFile, "utf8").split(/\r?\n/), labelsFile);
  }
  throw new UsageError(
    'no labels: say what the pictures may show, as in --labels "cat,dog,car", or --labels-file with a label a line.',
  );
}

function checkGrid(path: string | undefined): void {
  if (path !== undefined && !/\.(png|html?)$/i.test(path))
    throw new UsageError(`--grid ${path}: give a file that ends in .html or .png.`);
}

/** A file, or the pictures of a folder in the order of their names. */
function picturesOf(path: string): string[] {
  if (!existsSync(path)) throw new UsageError(`${path}: there is no such file or folder.`);
  if (!statSync(path).isDirectory()) return [path];
  const found = readdirSync(path, { recursive: true, encoding: "utf8" })
    .filter((name) => ENDINGS.has(extname(name).toLowerCase()))
    .sort()
    .map((name) => join(path, name));
  if (found.length === 0)
    throw new CommandError(
      "E_NO_PICTURES",
      `${path}: this folder has no pictures (${[...ENDINGS].map((ending) => ending.slice(1)).join(", ")}).`,
    );
  return found;
}

/** Probabilities of labels for pictures. */
async function classifyPictures(
  files: readonly string[],
  labels: readonly string[],
  templates: readonly string[],
  flags: Flags,
  ui: Ui,
): Promise<PictureVerdict[]> {
  const source = {
    name: "pictures",
    labels: new Int32Array(files.length).fill(-1),
    skipFlag: "--skip-unreadable",
    images: (start: number, end: number) =>
      files.slice(start, end).map((path) => ({ bytes: readFileSync(path), path })),
  };
  const { texts, images } = await collectFeatures(
    {
      model: flags.model,
      featuresDir: flags.featuresDir ?? null,
      batchSize: flags.batchSize,
      numWorkers: flags.numWorkers,
      onError: flags.skipUnreadable ? "skip" : "raise",
      recompute: false,
      offline: flags.offline ?? false,
    },
    { prompts: promptsOf(labels, templates), sources: [source] },
    ui,
  );
  const { features, columns, scale } = texts!;
  const { projected, ok } = images.get(source.name)!;
  const classes = ensembleOf(features, columns, templates.length);
  const logits = similarityLogits(unitRows(projected, columns), classes, columns, scale);
  return files.map((picture, i): PictureVerdict => {
    if (ok[i] !== 1) return { picture, label: null, probability: null, probabilities: {} };
    const shares = softmax(logits.subarray(i * labels.length, (i + 1) * labels.length));
    const order = topClasses(shares, labels.length);
    return {
      picture,
      label: labels[order[0]!]!,
      probability: shares[order[0]!]!,
      probabilities: Object.fromEntries(order.map((k) => [labels[k]!, shares[k]!])),
    };
  });
}

/** The most probable first; an object would put labels that are numbers before the others. */
function ranked(probabilities: Readonly<Record<string, number>>): [label: string, probability: number][] {
  return Object.entries(probabilities).sort(([, a], [, b]) => b - a);
}

/** Up to so many labels have a column each, if they are not longer than that together. */
const MOST_COLUMNS = 6;
const MOST_LETTERS = 60;

function formatVerdicts(
  verdicts: readonly PictureVerdict[],
  labels: readonly string[],
  topK: number,
): string {
  if (labels.length <= MOST_COLUMNS && labels.join("").length <= MOST_LETTERS) {
    return formatTable(
      ["picture", "label", ...labels],
      verdicts.map(({ picture, label, probabilities }) => [
        picture,
        label ?? "(not read)",
        ...labels.map((name) => (label === null ? "–" : probabilities[name]!.toFixed(4))),
      ]),
      [0, 1],
    );
  }
  const count = Math.min(topK, labels.length);
  return formatTable(
    ["picture", ...Array.from({ length: count }, (_, i) => [`label ${i + 1}`, "p"]).flat()],
    verdicts.map(({ picture, probabilities }) => {
      const best = ranked(probabilities).slice(0, count);
      return [
        picture,
        ...Array.from({ length: count }, (_, i) => {
          const [name, share] = best[i] ?? [];
          return [name ?? "(not read)", share?.toFixed(4) ?? "–"];
        }).flat(),
      ];
    }),
    [0, ...Array.from({ length: count }, (_, i) => 1 + 2 * i)],
  );
}

/** Labels below a picture of the grid. */
const SHOWN = 3;

async function writeGrid(path: string, verdicts: readonly PictureVerdict[], flags: Flags): Promise<void> {
  const cells: GridCell[] = [];
  for (const { picture, label, probabilities } of verdicts) {
    if (label === null) continue;
    const best = ranked(probabilities).slice(0, SHOWN);
    cells.push({
      image: await decodeImage(picture),
      lines: [...best.map(([name, share]) => `${name} ${percentOf(share)}`), picture.split(/[\\/]/).at(-1)!],
    });
  }
  const grid = pictureGrid({
    title: "Zero-shot",
    subtitle: `${cells.length} ${cells.length === 1 ? "picture" : "pictures"} by ${flags.model}`,
    cells,
    ...(flags.columns === undefined ? {} : { columns: flags.columns }),
  });
  await writeFileAtomic(path, /\.png$/i.test(path) ? await grid.png() : await grid.html());
}
