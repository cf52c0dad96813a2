import { EXIT } from "../../errors.js";
import type { Lab, LabContext } from "../../labs/lab.js";
import { guardOutputDir } from "../../training/run.js";
import { type ClipLabKind, clipTrainingSettings, makeClipRecipe } from "./settings.js";
import { trainClip } from "./train.js";

/** A lab that is one training of a CLIP. */
export function clipTrainingLab(kind: ClipLabKind, about: Pick<Lab, "summary" | "examples">): Lab {
  return {
    name: kind.lab,
    ...about,
    settings: clipTrainingSettings(kind),
    async run({ settings, offline, overwrite, ui, exit, ...context }: LabContext): Promise<unknown> {
      const recipe = makeClipRecipe(settings, kind);
      const { args } = recipe.recipe;
      const resume = context.resume || (args.resumeFromCheckpoint ?? false);
      await guardOutputDir(args.outputDir, { resume: Boolean(resume), overwrite });
      const result = await trainClip(recipe, { resume, offline }, ui);
      if (result.interrupted) exit(EXIT.interrupted);
      return result;
    },
  };
}
