// Half precision: activation memory beside f32's, and the losses of a fine-tuning run beside those of two f32 runs that differ in
// their seed.
//
//   node bench/step/fp16.mjs [--model FOLDER] [--dataset FOLDER] [--steps 50] [--batch-size 8] [--json FILE]
//
// FOLDERs default to those below WGRAD_SHARED. The fp16 run has the seed of the first f32 run: the same head, order and dropout.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Dataset } from "@wgrad/datasets";
import { AutoModelForSequenceClassification } from "@wgrad/models/node";
import { autocast, manualSeed, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { dataCollatorWithFlattening, Trainer } from "@wgrad/trainer";
import { timed } from "../lib/measure.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { readBatches, sources } from "../lib/rotten-tomatoes.mjs";
import { readStepData, writeStepData } from "../lib/step-data.mjs";
import { activationBytes, stepModel } from "./in-turn.mjs";

const { values: options } = parseArgs({
  options: {
    ...sources,
    steps: { type: "string", default: "50" },
    "batch-size": { type: "string", default: "8" },
    json: { type: "string" },
  },
});
const [steps, batchSize] = [Number(options.steps), Number(options["batch-size"])];
const device = await openDevice();
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));

/** Activation memory of a pass over 16 x 64 tokens, in bytes. */
async function measureMemory() {
  writeStepData(folder, "mini");
  const data = readStepData(folder, "mini");
  const model = await stepModel(device, data, { dropout: 0.1, attention_dropout: 0.1 });
  const { batch, tokens } = data.config;
  const forward = () =>
    model.forward({
      inputIds: Tensor.from(device, data.ids, [batch, tokens]),
      attentionMask: Tensor.from(device, data.mask, [batch, tokens]),
      labels: Tensor.from(device, data.labels, [batch]),
    });
  const found = {
    f32: await activationBytes(device, forward),
    fp16: await activationBytes(device, () => autocast("f16", forward)),
  };
  model.zeroGrad();
  model.dispose();
  device.emptyCache();
  return found;
}

const { tokenizer, batches } = await readBatches(options, { batchSize });
const trainDataset = Dataset.fromList(batches.slice(0, 100).flat());

/** Losses of a run, and its CPU milliseconds a step. */
async function train(seed, fp16) {
  manualSeed(device, seed);
  const { model } = await AutoModelForSequenceClassification.fromPretrained(device, options.model, {
    numLabels: 2,
    onWarning: () => {},
  });
  const trainer = new Trainer({
    model,
    trainDataset,
    dataCollator: dataCollatorWithFlattening(tokenizer),
    args: {
      ...{ outputDir: folder, maxSteps: steps, perDeviceTrainBatchSize: batchSize, seed, fp16 },
      ...{ learningRate: 5e-5, warmupSteps: 5, loggingSteps: 1, saveStrategy: "no" },
    },
  });
  const { cpu } = await timed(() => trainer.train());
  const logs = trainer.state.logHistory.filter(({ loss }) => loss !== undefined);
  trainer.optimizer.dispose();
  model.dispose();
  device.emptyCache();
  return { losses: logs.map(({ loss }) => loss), skipped: logs.at(-1).skipped_steps ?? 0, cpu: cpu / steps };
}

const memory = await measureMemory();
const first = await train(1, false);
const second = await train(2, false);
const half = await train(1, true);
rmSync(folder, { recursive: true });

/** Mean absolute difference of two runs' losses, step by step. */
const distance = (a, b) => a.losses.reduce((sum, loss, i) => sum + Math.abs(loss - b.losses[i]), 0) / steps;
const spread = distance(first, second);
const rows = [
  { name: "f32, seed 1", ...first, activationBytes: memory.f32, away: 0 },
  { name: "f32, seed 2", ...second, activationBytes: memory.f32, away: spread },
  { name: "fp16, seed 1", ...half, activationBytes: memory.fp16, away: distance(first, half) },
];
const mean = (losses) => losses.reduce((a, b) => a + b, 0) / losses.length;
const checks = [
  { what: "activation memory of fp16 / f32", found: memory.fp16 / memory.f32, atMost: 0.6 },
  { what: "loss away from f32 / spread of two seeds", found: rows[2].away / spread, atMost: 1 },
];
console.log(`${device.description}: ${options.model}, ${steps} steps of ${batchSize} rows\n`);
console.log(
  table(
    [
      "run",
      "CPU ms a step",
      "activation MiB",
      "first loss",
      "mean of last 10",
      "away from seed 1",
      "skipped",
    ],
    rows.map((r) => [
      r.name,
      short(r.cpu),
      short(r.activationBytes / 2 ** 20),
      r.losses[0].toFixed(4),
      mean(r.losses.slice(-10)).toFixed(4),
      r.away.toFixed(4),
      r.skipped,
    ]),
  ),
);
console.log(`\n${checkTable(checks)}`);
if (options.json) writeJson(options.json, "step-fp16", device.info, { steps, batchSize, rows, checks });
device.close();
