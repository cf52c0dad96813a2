/** How right zero-shot is: the whole description, colour and form together, and each attribute alone. */
import { argmaxRows, classificationMetrics, type EvalPrediction } from "@wgrad/trainer";
import type { Prediction } from "../../runs/run-folder.js";
import { formatTable } from "../../text/table.js";
import type { ShapeRow } from "./dataset.js";
import {
  ATTRIBUTE_NAMES,
  ATTRIBUTES,
  captionOf,
  combinationOf,
  DESCRIPTIONS_PER_COMBINATION,
  descriptionOf,
  NUM_COMBINATIONS,
  NUM_DESCRIPTIONS,
} from "./shapes.js";

/** Of each combination of colour and form the logit of its best prompt. @param logits [N, prompts] @returns [N, combinations] */
export function combinationLogits(logits: Float32Array): Float32Array {
  const out = new Float32Array(logits.length / DESCRIPTIONS_PER_COMBINATION).fill(Number.NEGATIVE_INFINITY);
  logits.forEach((logit, i) => {
    const at = Math.floor(i / DESCRIPTIONS_PER_COMBINATION);
    out[at] = Math.max(out[at]!, logit);
  });
  return out;
}

/**
 * Figures of an evaluation: `accuracy`, `f1`, `precision`, `recall` of colour and form together; `description_accuracy`, the share of which
 * the nearest prompt is right in everything; `description_top5_accuracy`, where it is among the five nearest; and one for each attribute.
 */
export function zeroShotMetrics({ predictions, labelIds }: EvalPrediction): Record<string, number> {
  const truths = Array.from(labelIds, descriptionOf);
  const nearest = Array.from(argmaxRows(predictions, NUM_DESCRIPTIONS), descriptionOf);
  const share = (isRight: (i: number) => boolean) =>
    truths.filter((_, i) => isRight(i)).length / truths.length;
  const attributes = ATTRIBUTE_NAMES.map((name) => [
    `${name}_accuracy`,
    share((i) => truths[i]![name] === nearest[i]![name]),
  ]);
  return {
    ...classificationMetrics({
      predictions: combinationLogits(predictions),
      labelIds: Int32Array.from(truths, combinationOf),
      numLabels: NUM_COMBINATIONS,
    }),
    description_accuracy: share((i) =>
      ATTRIBUTE_NAMES.every((name) => truths[i]![name] === nearest[i]![name]),
    ),
    description_top5_accuracy: share((i) => rankOf(predictions, i, labelIds[i]!) < 5),
    ...Object.fromEntries(attributes),
  };
}

/** How many prompts have a higher logit for a picture than one of them. */
function rankOf(logits: Float32Array, row: number, prompt: number): number {
  const begin = row * NUM_DESCRIPTIONS;
  const own = logits[begin + prompt]!;
  let above = 0;
  for (let i = begin; i < begin + NUM_DESCRIPTIONS; i++) if (logits[i]! > own) above++;
  return above;
}

const COLUMNS: readonly (readonly [metric: string, heading: string, chance: number])[] = [
  ["description_accuracy", "everything", 1 / NUM_DESCRIPTIONS],
  ["description_top5_accuracy", "in the first 5", 5 / NUM_DESCRIPTIONS],
  ["accuracy", "colour + form", 1 / NUM_COMBINATIONS],
  ...ATTRIBUTE_NAMES.map((name) => [`${name}_accuracy`, name, 1 / ATTRIBUTES[name].length] as const),
];

/** A table of what is right in how many percent, beside what guessing would give. */
export function formatZeroShot(
  rows: readonly { name: string; pictures: number; metrics: Readonly<Record<string, number>> }[],
): string {
  const percent = (share: number | undefined) =>
    share === undefined ? "–" : `${(share * 100).toFixed(share < 0.01 ? 2 : 1)}%`;
  return formatTable(
    ["right in", "pictures", ...COLUMNS.map(([, heading]) => heading)],
    [
      ...rows.map(({ name, pictures, metrics }) => [
        name,
        String(pictures),
        ...COLUMNS.map(([metric]) => percent(metrics[metric])),
      ]),
      ["chance", "", ...COLUMNS.map(([, , chance]) => percent(chance))],
    ],
  );
}

/** What zero-shot made of a picture. */
export interface Answer {
  row: ShapeRow;
  /** Number of the nearest prompt. */
  nearest: number;
  /** Share of the nearest prompt in a softmax over all prompts. */
  probability: number;
  isRight: boolean;
}

/** The nearest prompt of each picture. @param logits [rows, prompts] */
export function answersOf(logits: Float32Array, rows: readonly ShapeRow[]): Answer[] {
  const nearest = argmaxRows(logits, NUM_DESCRIPTIONS);
  return rows.map((row, i) => {
    const own = logits.subarray(i * NUM_DESCRIPTIONS, (i + 1) * NUM_DESCRIPTIONS);
    const best = own[nearest[i]!]!;
    const sum = own.reduce((total, logit) => total + Math.exp(logit - best), 0);
    return {
      row,
      nearest: nearest[i]!,
      probability: 1 / sum,
      isRight: nearest[i] === row.description,
    };
  });
}

/** Lines of `predictions-<split>.jsonl`: classes are the combinations of colour and form, the text is what is in the picture. */
export function predictionsOf(logits: Float32Array, rows: readonly ShapeRow[]): Prediction[] {
  const all = combinationLogits(logits);
  const classes = argmaxRows(all, NUM_COMBINATIONS);
  return rows.map(({ description }, i) => {
    const own = Array.from(all.subarray(i * NUM_COMBINATIONS, (i + 1) * NUM_COMBINATIONS));
    const label = combinationOf(descriptionOf(description));
    const largest = Math.max(...own);
    const sum = own.reduce((total, logit) => total + Math.exp(logit - largest), 0);
    return {
      text: captionOf(descriptionOf(description)),
      label,
      prediction: classes[i]!,
      logits: own.map((logit) => Number(logit.toFixed(4))),
      loss: largest + Math.log(sum) - own[label]!,
    };
  });
}
