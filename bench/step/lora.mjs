// What LoRA saves: the training step of a DistilBERT classifier with every weight trained, and with adapters on q_lin and v_lin; on
// the same batch, one after the other in turns.
//
//   node bench/step/lora.mjs [--size mini|base|tiny] [--only full,r16,…] [--rounds 5] [--json FILE]
//
// Frozen weights get no gradient and no optimizer work, which is a third of a step's arithmetic; the gradients of activations
// stay. The head is trained in both, as PEFT does for sequence classification. "Composed" is the adapter as a chain of operations
// beside its layer, as one writes it down: y = x Wᵀ + b, then + (scaling · (dropout(x) Aᵀ)) Bᵀ. An adapter is a few percent of a
// step, less than what else a machine does; so one layer is measured alone too, forward and backward, beside the frozen layer
// without an adapter.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { getPeftModel, LoraLinear } from "@wgrad/peft";
import { dropout, linear, linearLowRank, randn, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { timed } from "../lib/measure.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { readStepData, writeStepData } from "../lib/step-data.mjs";
import { inTurn, stepModel, trainingStep } from "./in-turn.mjs";

/** Rank and dropout of each way; α is 2 r, as in the recipes. */
const WAYS = {
  full: null,
  r16: { r: 16 },
  "r16-composed": { r: 16, composed: true },
  r8: { r: 8 },
  "r16-dropout": { r: 16, loraDropout: 0.1 },
  "r16-dropout-composed": { r: 16, loraDropout: 0.1, composed: true },
};

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "mini" },
    only: { type: "string", default: Object.keys(WAYS).join(",") },
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

/** The forward of a LoraLinear as a chain of operations. */
function composedForward(layer, { r, loraDropout }) {
  const { A, B } = layer.factors("default");
  const scaling = layer.scaling.default;
  if (A.shape[0] !== r) throw new Error(`an adapter of rank ${A.shape[0]} where ${r} was asked for`);
  return (x) =>
    scope(() => {
      const narrow = linear(dropout(x, loraDropout ?? 0, layer.training), A).mul(scaling);
      return layer.base_layer.forward(x).add(linear(narrow, B));
    });
}

async function modelOf(way) {
  const model = await stepModel(device, data);
  if (!way) return model;
  const { composed, ...config } = way;
  const adapted = getPeftModel(model, {
    ...config,
    loraAlpha: 2 * config.r,
    targetModules: ["q_lin", "v_lin"],
    taskType: "SEQ_CLS",
  }).train();
  if (composed) {
    for (const [, module] of adapted.namedModules())
      if (module instanceof LoraLinear) module.forward = composedForward(module, way);
  }
  return adapted;
}

function nameOf(way) {
  if (!way) return "every weight";
  return `LoRA r ${way.r}${way.loraDropout ? `, dropout ${way.loraDropout}` : ""}${way.composed ? ", composed" : ""}`;
}

/** A way to train: its step, and what it needs beside what is on the device already. */
async function prepared(key) {
  device.emptyCache();
  const before = device.memory().liveBytes;
  const model = await modelOf(WAYS[key]);
  const step = trainingStep(device, model, data.optimizer, upload);
  await step();
  const resident = device.memory().liveBytes - before;
  // Buffers left over from other passes may be larger than what is asked for.
  device.emptyCache();
  device.pool.resetPeak();
  const { dispatches } = device.snapshot();
  await step();
  const tensors = [...step.optimizer.stateDict().tensors.values()];
  return {
    key,
    name: nameOf(WAYS[key]),
    step,
    figures: {
      trained: model.numParameters({ trainable: true }),
      dispatches: device.snapshot().dispatches - dispatches,
      stateBytes: tensors.reduce((sum, { numel }) => sum + 4 * numel, 0),
      residentBytes: resident,
      activationBytes: device.memory().peakLiveBytes - before - resident,
      peakBytes: device.memory().peakLiveBytes - before,
    },
  };
}

/** Least CPU milliseconds of forward and backward of one layer with its adapter, and of the frozen layer alone. */
async function layerTimes(r, rounds = 40, calls = 4) {
  const { dim } = data.config;
  const [x, dy] = [randn(device, [batch * tokens, dim]), randn(device, [batch * tokens, dim])];
  const [weight, bias] = [randn(device, [dim, dim]), randn(device, [dim])];
  const [a, b] = [randn(device, [r, dim]), randn(device, [dim, r])];
  for (const leaf of [x, a, b]) leaf.requiresGrad_(true);
  const composed = (p) => linear(x, weight, bias).add(linear(linear(dropout(x, p), a).mul(2), b));
  const fused = (dropoutP) => linearLowRank(x, weight, bias, a, b, { scaling: 2, dropoutP });
  const forms = {
    "frozen layer, no adapter": () => linear(x, weight, bias),
    fused: () => fused(0),
    composed: () => composed(0),
    "fused, dropout 0.1": () => fused(0.1),
    "composed, dropout 0.1": () => composed(0.1),
  };
  const least = Object.fromEntries(Object.keys(forms).map((name) => [name, Number.POSITIVE_INFINITY]));
  for (let round = 0; round <= rounds; round++) {
    for (const [name, form] of Object.entries(forms)) {
      const { cpu } = await timed(async () => {
        for (let call = 0; call < calls; call++) {
          scope(() => form().backward({ gradient: dy }));
          for (const leaf of [x, a, b]) {
            leaf.grad?.dispose();
            leaf.grad = null;
          }
        }
        await device.synchronize();
      });
      // The first round compiles.
      if (round > 0) least[name] = Math.min(least[name], cpu / calls);
    }
  }
  return Object.entries(least).map(([name, cpu]) => ({ name, cpu }));
}

const ways = [];
for (const key of options.only.split(",")) ways.push(await prepared(key));
rmSync(folder, { recursive: true });
const measured = await inTurn(ways, {
  rounds: Number(options.rounds),
  warmup: 1,
  onRound: (round) => console.error(`round ${round}`),
});
const rows = measured.map((m, i) => ({ ...m, key: ways[i].key, ...ways[i].figures }));
const rowOf = (key) => rows.find((row) => row.key === key);
/** Of the least of each: what else the machine does only adds. */
const ratio = (a, b) => Math.min(...a.samples) / Math.min(...b.samples);
const compared = [
  ["CPU time of a LoRA step / a full step", "r16", "full", 0.72],
  ["CPU time of a LoRA step with dropout / a full step", "r16-dropout", "full", 0.72],
  ["CPU time of a LoRA step / the same composed", "r16", "r16-composed", 1],
  ["CPU time of a LoRA step with dropout / the same composed", "r16-dropout", "r16-dropout-composed", 1],
];
const checks = compared
  .filter(([, a, b]) => rowOf(a) && rowOf(b))
  .map(([what, a, b, atMost]) => ({ what, found: ratio(rowOf(a), rowOf(b)), atMost }));
const layer = await layerTimes(16);
const [, ...withAdapter] = layer.map(({ cpu }) => cpu - layer[0].cpu);
const [fusedCost, composedCost, fusedDropped, composedDropped] = withAdapter;
checks.push(
  {
    what: "cost of one adapter beside its frozen layer, fused / composed",
    found: fusedCost / composedCost,
    atMost: 0.6,
  },
  { what: "the same with dropout", found: fusedDropped / composedDropped, atMost: 0.6 },
);
if (rowOf("full") && rowOf("r16")) {
  const found = rowOf("r16").peakBytes / rowOf("full").peakBytes;
  checks.push({ what: "peak memory of a LoRA step / a full step", found, atMost: 0.5 });
}

const mebi = (bytes) => short(bytes / 2 ** 20);
console.log(
  `${device.description}: DistilBERT ${options.size}, ${batch} x ${tokens} tokens, one training step\n`,
);
console.log(
  table(
    ["trained", "parameters", "dispatches", "CPU ms", "wall ms", "MiB peak", "activations", "optimizer"],
    rows.map((r) => [
      r.name,
      r.trained.toLocaleString("en-US"),
      r.dispatches,
      short(r.cpu),
      short(r.wall),
      mebi(r.peakBytes),
      mebi(r.activationBytes),
      mebi(r.stateBytes),
    ]),
  ),
);
console.log(
  `\none layer [${data.config.dim}, ${data.config.dim}] forward and backward, r 16, CPU ms (least of 40):\n`,
);
console.log(
  table(
    ["", "CPU ms"],
    layer.map(({ name, cpu }) => [name, short(cpu)]),
  ),
);
console.log(`\n${checkTable(checks)}`);
const name = options.size === "mini" ? "step-lora" : `step-lora-${options.size}`;
if (options.json) writeJson(options.json, name, device.info, { size: options.size, rows, layer, checks });
device.close();
