import { stat } from "node:fs/promises";
import { COMPARE_SETTINGS, type CompareOptions, compareRuns } from "../../compare/compare.js";
import { CommandError } from "../../errors.js";
import type { Lab, LabContext } from "../lab.js";

/** `wgrad lab compare`: the same as `wgrad compare`, with the runs in a recipe. */
export const lab: Lab = {
  name: "compare",
  summary: "put runs side by side: scores, parameters, time, memory, best epoch",
  settings: [
    { name: "runs", kind: "list", help: "output folders of runs, or of folders that hold some (required)" },
    ...COMPARE_SETTINGS,
  ],
  examples: [
    ["wgrad lab compare", "the runs of the other labs, as far as there are any"],
    ["wgrad lab compare --runs runs/finetune,runs/lora --sort test-accuracy", "two runs, the best first"],
    ["wgrad lab compare --html compare.html", "as a page too"],
  ],
  async run({ settings, ui }: LabContext): Promise<unknown> {
    const named = (settings.runs ?? []) as string[];
    const there: string[] = [];
    for (const folder of named) {
      const exists = await stat(folder).catch(() => undefined);
      if (exists) there.push(folder);
      else ui.note(`${folder}: there is no such folder, so it is left out.`);
    }
    if (there.length === 0)
      throw new CommandError(
        "E_RUN",
        `none of the runs is there: ${named.join(", ") || "the recipe names none"}. Run a lab first, such as wgrad lab finetune, or name others: --runs FOLDER,FOLDER.`,
      );
    return compareRuns(there, settings as CompareOptions, ui);
  },
};
