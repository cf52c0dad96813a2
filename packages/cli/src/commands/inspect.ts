import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { UsageError } from "../errors.js";
import { hubOptions } from "../hub.js";
import { wholeNumber } from "../numbers.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";

/** Flags of `wgrad inspect`. */
export interface InspectFlags {
  json?: boolean;
  tokenizer?: string;
  examples: number;
  split?: string;
  textColumn?: string;
  labelColumn?: string;
  offline?: boolean;
}

const KINDS = ["dataset", "model", "tokenizer"] as const;
type Kind = (typeof KINDS)[number];

/** `wgrad inspect`. */
export const inspect: Verb = {
  define(command, context) {
    command
      .usage("[dataset|model|tokenizer] <path> [text] [options]")
      .argument("<words...>", "kind (guessed if left out), path or hub id, and for a tokenizer a text")
      .option("--tokenizer <dir>", "data set: also count tokens with this tokenizer")
      .option("--split <name>", "data set: this split alone")
      .option("--examples <n>", "data set: rows to show of the first split", wholeNumber(0), 3)
      .option("--text-column <name>", "data set: column of the texts")
      .option("--label-column <name>", "data set: column of the classes")
      .option("--offline", "never touch the network")
      .addHelpText(
        "after",
        examples([
          ["wgrad inspect data/rotten_tomatoes", "splits, features, labels, lengths, examples"],
          ["wgrad inspect reviews.csv", "the same of a CSV or JSON-lines file"],
          ["wgrad inspect data/tiny_imagenet", "of pictures: sizes, modes, classes with their names"],
          ["wgrad inspect dataset stanfordnlp/imdb@main", "of the hub"],
          ["wgrad inspect data/rotten_tomatoes --tokenizer my-model", "lengths in tokens too"],
          ["wgrad inspect model my-model", "tree, parameters by name and shape, counts"],
          ['wgrad inspect tokenizer my-model "A fine film."', "tokens, ids and offsets"],
        ]),
      )
      .action(async (words: string[], flags: InspectFlags) => {
        const ui = context.ui(flags);
        const isKind = words.length > 1 && (KINDS as readonly string[]).includes(words[0]!);
        const [path, ...rest] = isKind ? words.slice(1) : words;
        const kind = isKind ? (words[0] as Kind) : await guessKind(path!, rest.length > 0);
        if (kind !== "tokenizer" && rest.length > 0) {
          throw new UsageError(
            `inspect ${kind} takes one path; "${rest[0]}" is too much. A text goes with: wgrad inspect tokenizer ${path} "${rest[0]}"`,
          );
        }
        if (kind === "dataset")
          await (await import("../inspect/dataset.js")).inspectDataset(
            path!,
            flags,
            ui,
            await tokenizerOf(flags, ui),
          );
        else if (kind === "model") await (await import("../inspect/model.js")).inspectModel(path!, flags, ui);
        else
          await (await import("../inspect/tokenizer.js")).inspectTokenizer(path!, rest.join(" "), flags, ui);
      });
  },
};

async function tokenizerOf(flags: InspectFlags, ui: Ui) {
  if (flags.tokenizer === undefined) return null;
  const { AutoTokenizer } = await import("@wgrad/models/node");
  return AutoTokenizer.fromPretrained(flags.tokenizer, hubOptions(flags.offline, ui));
}

const PICTURE = /\.(jpe?g|png|webp|gif|bmp|tiff?|avif)$/i;

/** True for a folder of pictures, or of a folder for each class: the first few tell. */
async function holdsPictures(path: string, names: readonly string[]): Promise<boolean> {
  for (const name of names.slice(0, 8)) {
    if (PICTURE.test(name)) return true;
    const inside = await readdir(join(path, name)).catch(() => []);
    if (inside.some((one) => PICTURE.test(one))) return true;
  }
  return false;
}

const DATA_FILE = /\.(parquet|csv|tsv|jsonl|ndjson)(\.gz)?$/i;

/** By what lies at the path; a hub id is a model's. */
async function guessKind(path: string, hasText: boolean): Promise<Kind> {
  if (hasText) return "tokenizer";
  if (!existsSync(path)) return DATA_FILE.test(path) ? "dataset" : "model";
  if (!statSync(path).isDirectory()) return "dataset";
  const names = await readdir(path);
  if (names.includes("config.json")) return "model";
  const inside = existsSync(join(path, "data")) ? await readdir(join(path, "data")).catch(() => []) : [];
  const isData =
    [...names, ...inside].some((name) => DATA_FILE.test(name)) ||
    names.some((name) => /^(train|test|validation)$/.test(name));
  if (isData || (await holdsPictures(path, names))) return "dataset";
  return names.includes("tokenizer.json") ? "tokenizer" : "model";
}
