import { EXIT } from "../errors.js";
import { guardOutputDir } from "../training/run.js";
import { makeRecipe } from "../training/settings.js";
import { trainFromRecipe } from "../training/train.js";
import type { LabContext } from "./lab.js";

/** What a lab does that is one training run: the same as `wgrad train` with its recipe. */
export async function runTrainingLab(
  name: string,
  { settings, offline, overwrite, ui, exit, ...context }: LabContext,
): Promise<unknown> {
  const recipe = makeRecipe(settings);
  const resume = context.resume || (recipe.args.resumeFromCheckpoint ?? false);
  await guardOutputDir(recipe.args.outputDir, { resume: Boolean(resume), overwrite });
  const result = await trainFromRecipe(recipe, { lab: name, resume, offline, force: false }, ui);
  if (result.interrupted) exit(EXIT.interrupted);
  return result;
}
