/** The `wgrad` command as a function, and the parts of it that are useful alone. */
export { EXIT } from "./errors.js";
export { BagOfWords, type BagOfWordsOptions } from "./quickstart/baseline.js";
export {
  makeSentimentDataset,
  type SentimentOptions,
  type SentimentRow,
  writeSentimentDataset,
} from "./quickstart/grammar.js";
export { run } from "./run.js";
export {
  type ClassificationReport,
  classificationReport,
  formatClassificationReport,
} from "./text/classification-report.js";
