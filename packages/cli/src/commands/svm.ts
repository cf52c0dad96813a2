import { CommandError } from "../errors.js";
import { readFeatures, type StoredFeatures } from "../labs/features-svm/cache.js";
import { bestOf, checkClassifierSettings, classify } from "../labs/features-svm/classify.js";
import { ROLES, type Role } from "../labs/features-svm/features.js";
import { saveFeaturesRun } from "../labs/features-svm/save.js";
import { CLASSIFIER_SETTINGS, classifierSettings } from "../labs/features-svm/settings.js";
import { formatClassifiers, formatReport } from "../labs/features-svm/show.js";
import { addRecipeFlags } from "../training/flags.js";
import { type Setting, settingsNamed } from "../training/settings.js";
import { examples, type Verb } from "../verb.js";

const SETTINGS: readonly Setting[] = [...settingsNamed("seed"), ...CLASSIFIER_SETTINGS];

/** `wgrad svm`. */
export const svm: Verb = {
  define(command, context) {
    command
      .argument("<features>", "folder that wgrad features or the lab features-svm wrote")
      .option(
        "--output-dir <dir>",
        "folder of the run: metrics.json, reports.txt (default: nothing is written)",
      );
    addRecipeFlags(command, SETTINGS);
    command
      .addHelpText(
        "after",
        examples([
          ["wgrad svm features", "every classifier, cls and mean"],
          ["wgrad svm features --features mean --classifiers svc-rbf --c 10", "one of them"],
          ["wgrad svm runs/features-svm/features --standardize --output-dir runs/scaled", "kept as a run"],
        ]),
      )
      .action(
        async (folder: string, flags: { json?: boolean; outputDir?: string } & Record<string, unknown>) => {
          const ui = context.ui(flags);
          const defaults = Object.fromEntries(SETTINGS.map(({ name, default: value }) => [name, value]));
          const settings = classifierSettings({ ...defaults, ...flags });
          checkClassifierSettings(settings);
          const splits = await readSplits(folder);
          const classified = await classify(splits, settings, ui);
          const best = bestOf(classified);
          const { labelNames } = splits.get("train")!;
          ui.result(`${formatClassifiers(classified)}\n\nBest: ${formatReport(best, labelNames)}`);
          if (flags.outputDir !== undefined) {
            await saveFeaturesRun({
              folder: flags.outputDir,
              lab: "svm",
              settings: { ...settings, outputDir: flags.outputDir },
              splits,
              texts: null,
              classified,
            });
            ui.result(`\nSaved in ${flags.outputDir}: metrics.json, reports.txt, recipe.yaml`);
          }
          ui.document({ classifiers: classified.map(({ result }) => result), labels: labelNames });
        },
      );
  },
};

/** The features of a folder. @throws CommandError `E_FEATURES` where there are none to learn from */
async function readSplits(folder: string): Promise<Map<Role, StoredFeatures>> {
  const splits = new Map<Role, StoredFeatures>();
  for (const role of ROLES) {
    const found = await readFeatures(folder, role, null);
    if (found) splits.set(role, found);
  }
  if (!splits.has("train")) {
    throw new CommandError(
      "E_FEATURES",
      `${folder} has no train.safetensors. Give a folder that wgrad features --output-dir … wrote.`,
    );
  }
  return splits;
}
