// What gradient checkpointing saves and costs: a DistilBERT classifier's forward and backward with every activation kept, and with
// those of a block computed again in backward.
//
//   node bench/step/checkpoint.mjs [--size mini|tiny] [--rounds 5] [--json FILE]
//
// Dropout is on: the second forward must draw the numbers of the first. Activation memory is the peak of a pass beyond what lives
// before it, with gradients there already.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { manualSeed, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { compare } from "../lib/numbers.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { readStepData, writeStepData } from "../lib/step-data.mjs";
import { activationBytes, inTurn, stepModel, trainingStep } from "./in-turn.mjs";

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "mini" },
    rounds: { type: "string", default: "5" },
    json: { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
writeStepData(folder, options.size);
const data = readStepData(folder, options.size);
const device = await openDevice();
const { batch, tokens } = data.config;
const upload = () => ({
  inputIds: Tensor.from(device, data.ids, [batch, tokens]),
  attentionMask: Tensor.from(device, data.mask, [batch, tokens]),
  labels: Tensor.from(device, data.labels, [batch]),
});
const model = await stepModel(device, data, {
  dropout: 0.1,
  attention_dropout: 0.1,
  seq_classif_dropout: 0.2,
});
rmSync(folder, { recursive: true });

/** Gradients of one pass from the same random numbers, by name. */
async function gradients() {
  model.zeroGrad();
  manualSeed(device, 1);
  await activationBytes(device, () => model.forward(upload()));
  const found = new Map();
  for (const [name, parameter] of model.namedParameters()) found.set(name, await parameter.grad.toArray());
  model.zeroGrad();
  return found;
}

const bytes = {};
const grads = {};
const step = trainingStep(device, model, data.optimizer, upload);
const kinds = [
  ["every activation kept", () => model.gradientCheckpointingDisable()],
  ["computed again, block by block", () => model.gradientCheckpointingEnable()],
];
for (const [name, choose] of kinds) {
  choose();
  grads[name] = await gradients();
  bytes[name] = await activationBytes(device, () => model.forward(upload()));
  model.zeroGrad();
}
const ways = kinds.map(([name, choose]) => ({
  name,
  step: async () => {
    choose();
    await step();
  },
}));
const rows = (await inTurn(ways, { rounds: Number(options.rounds) })).map((row) => ({
  ...row,
  activationBytes: bytes[row.name],
}));
const [kept, again] = rows;
let difference = 0;
for (const [name, want] of grads[kept.name])
  difference = Math.max(difference, compare(grads[again.name].get(name), want).difference);
const checks = [
  {
    what: "peak activation memory, of that with all kept",
    found: again.activationBytes / kept.activationBytes,
    atMost: 0.6,
  },
  { what: "CPU time of a step, of that with all kept", found: again.cpu / kept.cpu, atMost: 1.4 },
  { what: "largest difference of a gradient", found: difference, atMost: 0 },
];
console.log(
  `${device.description}: DistilBERT ${options.size}, ${batch} x ${tokens} tokens, one training step\n`,
);
console.log(
  table(
    ["activations", "CPU ms", "wall ms", "activation MiB"],
    rows.map((r) => [r.name, short(r.cpu), short(r.wall), short(r.activationBytes / 2 ** 20)]),
  ),
);
console.log(`\n${checkTable(checks)}`);
if (options.json)
  writeJson(options.json, "step-checkpoint", device.info, { size: options.size, rows, checks });
device.close();
