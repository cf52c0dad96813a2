/** What the tests of the command share: running it as a process, and small models and data sets. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Dataset, DatasetDict } from "@wgrad/datasets";
import { distilBertConfig } from "@wgrad/models";
import { AutoModelForSequenceClassification, savePretrained } from "@wgrad/models/node";
import { manualSeed } from "@wgrad/tensor";
import { withDevice } from "../device.js";
import { grammarVocabulary, makeSentimentDataset, sentimentLabels } from "../quickstart/grammar.js";
import { writeWordPieceTokenizer } from "../quickstart/tokenizer.js";

const main = resolve(import.meta.dirname, "../../dist/main.js");
const shared = process.env.WGRAD_SHARED!;

/** Reference cases outside of the repository, where they are. */
export const sharedFixtures = join(shared, "fixtures");
export const hasShared = existsSync(join(sharedFixtures, "optim", "index.json"));

/** Lines that Dawn writes to stderr whatever one does. */
const NOISE = /^Warning: maxDynamic(Uniform|Storage)Buffers.*$\n?/gm;

export interface Finished {
  code: number | null;
  out: string;
  err: string;
}

/** A running command. */
export interface Running {
  /** Resolves when stderr has matched. */
  until(pattern: RegExp): Promise<void>;
  interrupt(): void;
  finished: Promise<Finished>;
}

/** Starts `wgrad` with arguments. */
export function start(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Running {
  const child = spawn(process.execPath, [main, ...args], {
    env: { ...process.env, WGRAD_DEBUG: "", WGRAD_SHARED: shared, ...options.env },
  });
  let out = "";
  let err = "";
  const waiting: { pattern: RegExp; resolve: () => void }[] = [];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
    for (const { pattern, resolve } of waiting) if (pattern.test(err)) resolve();
  });
  child.stdin.on("error", () => {});
  child.stdin.end(options.input ?? "");
  return {
    until: (pattern) =>
      new Promise((resolve, reject) => {
        if (pattern.test(err)) return resolve();
        waiting.push({ pattern, resolve });
        child.on("close", () => reject(new Error(`the command ended without ${pattern}: ${err}`)));
      }),
    interrupt: () => child.kill("SIGINT"),
    finished: new Promise((resolve) => {
      child.on("close", (code) => resolve({ code, out, err: err.replace(NOISE, "") }));
    }),
  };
}

/** Runs `wgrad` to its end. */
export function wgrad(
  args: readonly string[],
  options: { input?: string; env?: Record<string, string> } = {},
): Promise<Finished> {
  return start(args, options).finished;
}

/** A folder with a DistilBERT of random weights: one layer of 32, 512 positions, two classes. */
export async function makeTinyModel(folder: string): Promise<string> {
  mkdirSync(folder, { recursive: true });
  const vocabSize = writeWordPieceTokenizer(folder, grammarVocabulary(), 512);
  await withDevice({}, async (device) => {
    manualSeed(device, 1);
    const config = distilBertConfig(
      {
        dim: 32,
        n_layers: 1,
        n_heads: 2,
        hidden_dim: 64,
        max_position_embeddings: 512,
        vocab_size: vocabSize,
      },
      sentimentLabels,
    );
    const model = AutoModelForSequenceClassification.fromConfig(device, config);
    await savePretrained(model, folder);
    model.dispose();
  });
  return folder;
}

/** A folder with three small splits of the quickstart's grammar. */
export function makeTinyData(folder: string): string {
  makeSentimentDataset({ train: 32, validation: 16, test: 16 }).toParquet(folder);
  return folder;
}

/** A folder with one split. */
export function writeSplit(folder: string, split: string, dataset: Dataset): string {
  new DatasetDict({ [split]: dataset }).toParquet(folder);
  return folder;
}
