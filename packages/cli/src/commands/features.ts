import { collectFeatures } from "../labs/features-svm/features.js";
import { featureSettings } from "../labs/features-svm/index.js";
import { FEATURE_SETTINGS } from "../labs/features-svm/settings.js";
import { addRecipeFlags } from "../training/flags.js";
import { type Setting, settingsNamed } from "../training/settings.js";
import { examples, type Verb } from "../verb.js";

const SETTINGS: readonly Setting[] = [
  ...settingsNamed("model", "dataset", "textColumn", "labelColumn", "trainSplit", "evalSplit", "testSplit"),
  ...settingsNamed("validationSize", "testSize", "maxLength", "paddingFree", "padToMultipleOf", "subset"),
  ...settingsNamed("seed"),
  ...FEATURE_SETTINGS,
];

/** `wgrad features`. */
export const features: Verb = {
  define(command, context) {
    command
      .option("--output-dir <dir>", "folder for train.safetensors, …", "features")
      .option("--offline", "never touch the network");
    addRecipeFlags(command, SETTINGS);
    command
      .addHelpText(
        "after",
        examples([
          ["wgrad features --model my-model --dataset data --output-dir features", "all splits"],
          ["wgrad svm features", "classifiers on them"],
          [
            "python -c \"from safetensors.numpy import load_file; print(load_file('features/train.safetensors')['cls'].shape)\"",
            "the same numbers in Python",
          ],
        ]),
      )
      .action(
        async (flags: { json?: boolean; outputDir: string; offline?: boolean } & Record<string, unknown>) => {
          const ui = context.ui(flags);
          const defaults = Object.fromEntries(SETTINGS.map(({ name, default: value }) => [name, value]));
          const settings = featureSettings({ ...defaults, ...flags }, flags.offline ?? false);
          const collected = await collectFeatures(flags.outputDir, settings, ui);
          const splits = Object.fromEntries(
            [...collected].map(([role, { features: f, cached }]) => [
              role,
              {
                rows: f.rows,
                columns: f.columns,
                tokens: f.tokens,
                seconds: f.seconds,
                adapter: f.adapter,
                cached,
              },
            ]),
          );
          for (const [role, { rows, columns }] of Object.entries(splits))
            ui.result(
              `${flags.outputDir}/${role}.safetensors: cls and mean [${rows}, ${columns}], labels [${rows}]`,
            );
          ui.result(`\nClassifiers on them: wgrad svm ${flags.outputDir}`);
          ui.document({ output_dir: flags.outputDir, splits });
        },
      );
  },
};
