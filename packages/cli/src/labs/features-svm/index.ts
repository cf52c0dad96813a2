/** The lab `features-svm`: a frozen encoder's features, and classifiers of scikit-learn's kind on them. */
import { join } from "node:path";
import { UsageError } from "../../errors.js";
import { flagOf, settingsNamed } from "../../training/settings.js";
import type { Ui } from "../../ui.js";
import type { Lab, LabContext } from "../lab.js";
import { bestOf, checkClassifierSettings, classify } from "./classify.js";
import { collectFeatures, type FeatureSettings } from "./features.js";
import { saveFeaturesRun } from "./save.js";
import { CLASSIFIER_SETTINGS, classifierSettings, FEATURE_SETTINGS } from "./settings.js";
import { formatClassifiers, formatReport } from "./show.js";

export const lab: Lab = {
  name: "features-svm",
  summary: "frozen features of every text, and support vector machines and logistic regression on them",
  settings: [
    ...settingsNamed("model", "dataset", "textColumn", "labelColumn", "trainSplit", "evalSplit", "testSplit"),
    ...settingsNamed("validationSize", "testSize", "maxLength", "paddingFree", "padToMultipleOf", "subset"),
    ...settingsNamed("seed", "outputDir"),
    ...FEATURE_SETTINGS,
    ...CLASSIFIER_SETTINGS,
  ],
  examples: [
    ["wgrad lab features-svm", "DistilBERT and Rotten Tomatoes, every classifier"],
    [
      "wgrad lab features-svm --model my-model --dataset my-data --subset 64",
      "folders or hub ids, tried small",
    ],
    [
      "wgrad lab features-svm --features mean --classifiers svc-rbf --c 10",
      "another classifier, same features",
    ],
    ["wgrad svm runs/features-svm/features --standardize", "classifiers on features that are there"],
  ],
  run: runLab,
};

async function runLab({ settings, offline, ui }: LabContext): Promise<unknown> {
  const given = featureSettings(settings, offline);
  const folder = String(settings.outputDir ?? "runs/features-svm");
  const classifiers = classifierSettings(settings);
  checkClassifierSettings(classifiers);
  const collected = await collectFeatures(join(folder, "features"), given, ui);
  const splits = new Map([...collected].map(([role, { features }]) => [role, features]));
  const classified = await classify(splits, classifiers, ui);
  ui.result(formatClassifiers(classified));
  const best = bestOf(classified);
  const by = best.result.splits.validation ? "validation" : "training accuracy: there is no validation split";
  ui.result(
    `\nBest by ${by}: ${best.result.features} ${best.result.classifier}\n\n${formatReport(best, splits.get("train")!.labelNames)}`,
  );
  const metrics = await saveFeaturesRun({
    folder,
    lab: "features-svm",
    settings: { ...settings, outputDir: folder },
    splits,
    texts: new Map([...collected].map(([role, { texts }]) => [role, texts])),
    classified,
  });
  sayWhere(folder, ui);
  return metrics;
}

function sayWhere(folder: string, ui: Ui): void {
  ui.result(
    `\nSaved in ${folder}: features/*.safetensors, reports.txt, metrics.json, recipe.yaml, predictions of the best\n` +
      `As a page: wgrad report ${folder}`,
  );
}

/** @throws UsageError for what is missing or out of range */
export function featureSettings(
  settings: Readonly<Record<string, unknown>>,
  offline: boolean,
): FeatureSettings {
  for (const name of ["model", "dataset"]) {
    if (!settings[name])
      throw new UsageError(`${flagOf(name)} is missing: give it, or write ${name}: … into a recipe.`);
  }
  for (const name of ["subset", "maxLength", "batchSize", "padToMultipleOf"]) {
    const value = settings[name] ?? null;
    if (value !== null && !(Number.isInteger(value) && (value as number) >= 1))
      throw new UsageError(`${flagOf(name)} is ${String(value)}, expected a whole number from 1 on.`);
  }
  const orNull = (name: string) => settings[name] ?? null;
  return {
    ...(settings as unknown as FeatureSettings),
    ...Object.fromEntries(
      [
        "textColumn",
        "labelColumn",
        "maxLength",
        "subset",
        "validationSize",
        "testSize",
        "padToMultipleOf",
      ].map((name) => [name, orNull(name)]),
    ),
    offline,
  };
}
