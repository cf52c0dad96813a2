/** Prompts of classes: what CLIP compares pictures with. */
import { UsageError } from "../errors.js";

/** What the name of a class is put into where nobody says. */
export const DEFAULT_TEMPLATE = "a photo of a {}";

/**
 * Templates that are used together, by name: the mean of their text features is what a class looks like.
 * Source of `imagenet-7`: the seven that OpenAI's CLIP found to be worth most on ImageNet (Radford et al. 2021, notebook on prompt engineering).
 */
export const TEMPLATE_SETS: Readonly<Record<string, readonly string[]>> = {
  "imagenet-7": [
    "itap of a {}.",
    "a bad photo of the {}.",
    "a origami {}.",
    "a photo of the large {}.",
    "a {} in a video game.",
    "art of the {}.",
    "a photo of the small {}.",
  ],
};

/**
 * The templates that were asked for, names of sets replaced by what is in them.
 * @throws UsageError for a template without a place for the name
 */
export function expandTemplates(given: readonly string[]): string[] {
  const templates = given.flatMap((template) =>
    Object.hasOwn(TEMPLATE_SETS, template) ? TEMPLATE_SETS[template]! : [template],
  );
  const wrong = templates.find((template) => !template.includes("{}"));
  if (wrong !== undefined || templates.length === 0) {
    throw new UsageError(
      `${wrong === undefined ? "there is no template" : `template "${wrong}" has no place for the name of a class`}: ` +
        `write {} where it goes, as in "${DEFAULT_TEMPLATE}", or name a set (${Object.keys(TEMPLATE_SETS).join(", ")}). In a flag, a comma begins another template.`,
    );
  }
  return templates;
}

/** Every prompt: [T · K], those of the first template first. */
export function promptsOf(names: readonly string[], templates: readonly string[]): string[] {
  return templates.flatMap((template) => names.map((name) => template.replaceAll("{}", name)));
}

/**
 * Names out of a text: one a line; empty lines and those that begin with # are left out.
 * @throws UsageError for names that are there twice, or fewer than two
 */
export function checkNames(names: readonly string[], where: string): string[] {
  const trimmed = names.map((name) => name.trim()).filter((name) => name !== "");
  const twice = trimmed.find((name, i) => trimmed.indexOf(name) !== i);
  if (twice !== undefined) throw new UsageError(`${where}: "${twice}" is there twice. Leave one out.`);
  if (trimmed.length < 2) {
    throw new UsageError(
      `${where}: ${trimmed.length === 0 ? "no name" : `only "${trimmed[0]}"`}. Give two names at least, for a picture is compared with all of them: "cat,dog".`,
    );
  }
  return trimmed;
}
