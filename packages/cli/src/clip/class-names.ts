/** Names of the classes of a data set in human words: prompts are made of them. */
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tinyImagenetNames } from "@wgrad/datasets";
import { CommandError, UsageError } from "../errors.js";

/** A synset of WordNet, as Tiny ImageNet names its classes. */
const WORDNET = /^n\d{8}$/;

/**
 * Human names of classes, in their order.
 * @param labels as the data set names them
 * @param source.file a file of names: `id<tab>name, synonyms` in any order (`words.txt`), or a name a line in the order of the classes
 * @param source.folder of the data set, whose own `words.txt` is used where its classes are WordNet's ids
 * @throws CommandError `E_CLASS_NAMES` where ids stay ids; UsageError for a file that does not fit
 */
export async function humanNames(
  labels: readonly string[],
  source: { file: string | null; folder: string },
): Promise<string[]> {
  if (source.file !== null) return namesFromFile(source.file, labels);
  if (labels.some((label) => WORDNET.test(label))) {
    const names = tinyImagenetNames(source.folder);
    const missing = labels.find((label) => !names.has(label));
    if (missing === undefined) return labels.map((label) => names.get(label)!);
    throw new CommandError(
      "E_CLASS_NAMES",
      `the classes are WordNet's ids such as ${missing}, of which no model knows what they mean${names.size > 0 ? `, and words.txt beside the data has no name for ${missing}` : ""}. ` +
        "Give their names with --class-names words.txt (lines of id, tab, name): http://cs231n.stanford.edu/tiny-imagenet-200.zip has one.",
    );
  }
  return labels.map((label) => firstName(label).replaceAll("_", " "));
}

async function namesFromFile(path: string, labels: readonly string[]): Promise<string[]> {
  if (!existsSync(path)) throw new UsageError(`${path}: there is no such file of names (--class-names).`);
  const lines = (await readFile(path, "utf8")).split(/\r?\n/).filter((line) => line.trim() !== "");
  const pairs = lines.map((line) => line.split("\t"));
  if (pairs.every((pair) => pair.length === 2)) {
    const names = new Map(pairs.map(([id, names]) => [id!.trim(), firstName(names!)]));
    const missing = labels.find((label) => !names.has(label));
    if (missing !== undefined) throw new UsageError(`${path}: it has no name for the class ${missing}.`);
    return labels.map((label) => names.get(label)!);
  }
  if (lines.length !== labels.length) {
    throw new UsageError(
      `${path}: ${lines.length} names for ${labels.length} classes. Give one a line in their order, or lines of id, tab, name.`,
    );
  }
  return lines.map(firstName);
}

/** `goldfish` of `goldfish, Carassius auratus` */
function firstName(names: string): string {
  return names.split(",")[0]!.trim();
}
