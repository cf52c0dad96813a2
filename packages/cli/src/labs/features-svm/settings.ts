import type { Setting } from "../../training/settings.js";
import { CLASSIFIERS, type ClassifierSettings, FEATURES } from "./classify.js";

const GROUP = "Features and classifiers:";

/** Settings of how features are computed. */
export const FEATURE_SETTINGS: readonly Setting[] = [
  { name: "batchSize", kind: "number", group: GROUP, help: "examples a forward pass", default: 64 },
  {
    name: "recompute",
    kind: "boolean",
    group: GROUP,
    help: "compute features anew that are there already",
    default: false,
  },
];

/** Settings of the classifiers. */
export const CLASSIFIER_SETTINGS: readonly Setting[] = [
  {
    name: "features",
    kind: "list",
    group: GROUP,
    help: "what the classifiers see: cls, the vector of [CLS]; mean, the mean over all tokens",
    default: [...FEATURES],
  },
  {
    name: "classifiers",
    kind: "list",
    group: GROUP,
    help: "which are fitted",
    default: Object.keys(CLASSIFIERS),
  },
  { name: "c", kind: "number", group: GROUP, help: "C of every classifier: cost of an error", default: 1 },
  {
    name: "gamma",
    kind: "text",
    group: GROUP,
    help: "of the rbf kernel: scale, auto or a number",
    default: "scale",
  },
  {
    name: "maxIter",
    kind: "number",
    group: GROUP,
    help: "most iterations of LinearSVC and LogisticRegression",
    default: 1000,
  },
  {
    name: "standardize",
    kind: "boolean",
    group: GROUP,
    help: "bring every feature to mean 0 and deviation 1 first, as learnt from the training split",
    default: false,
  },
];

/** The classifiers' settings of all those of a lab or a verb. */
export function classifierSettings(given: Readonly<Record<string, unknown>>): ClassifierSettings {
  const { features, classifiers, c, gamma, maxIter, standardize, seed } =
    given as unknown as ClassifierSettings;
  return { features, classifiers, c, gamma: String(gamma), maxIter, standardize, seed };
}
