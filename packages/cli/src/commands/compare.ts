import { COMPARE_SETTINGS, type CompareOptions, compareRuns } from "../compare/compare.js";
import { addRecipeFlags } from "../training/flags.js";
import { examples, type Verb } from "../verb.js";

/** `wgrad compare`. */
export const compare: Verb = {
  define(command, context) {
    command
      .description(
        "Put runs side by side: scores, trained parameters, time, memory, best epoch, and the settings that differ.",
      )
      .argument("<runs...>", "output folders of runs, or a folder that holds some");
    addRecipeFlags(command, COMPARE_SETTINGS);
    command
      .addHelpText(
        "after",
        examples([
          ["wgrad compare runs/finetune runs/lora", "a table of two runs"],
          ["wgrad compare runs --sort test-accuracy", "all runs of a folder, the best first"],
          ["wgrad compare runs --format markdown", "as Markdown, to paste"],
          ["wgrad compare runs --html compare.html", "a page with tables and charts too"],
        ]),
      )
      .action(async (folders: string[], flags: CompareOptions & { json?: boolean }) => {
        const ui = context.ui({ json: flags.json ?? false });
        ui.document(await compareRuns(folders, flags, ui));
      });
  },
};
