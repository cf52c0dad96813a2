import { stringify } from "yaml";
import { type Recipe, recipeToJson } from "./settings.js";

/** The command line that runs a recipe again. */
export function commandOf(lab: string): string {
  return lab === "train" || lab === "quickstart" ? "wgrad train" : `wgrad lab ${lab}`;
}

/** `recipe.yaml` of a run: every setting, so that it can be run again. */
export function recipeText(lab: string, recipe: Recipe): string {
  const command = commandOf(lab);
  const json = { ...(command === "wgrad train" ? {} : { lab }), ...recipeToJson(recipe) };
  return `# Written by ${command}. Run it again: ${command} recipe.yaml --output-dir another-folder\n${stringify(json)}`;
}
