// Both towers of CLIP as captured steps, with attention in one kernel a pass and with the same composed of the library's matmul and
// softmax: inference of each tower, and the contrastive training step, one after the other in turns.
//
//   node bench/step/clip-attention.mjs [--only base,small] [--rounds 3] [--json file|auto]
//
// `base` has the towers of ViT-B/16 (197 patches, 77 tokens causal) with two of their twelve blocks, which are all alike, and 4
// pairs; `small` is the small checkpoint's whole model (65 patches, three heads) with 16. Weights are drawn at random. Composed
// attention stores its N x N scores and weights and computes what a causal mask hides; the kernels pass over it, which the last table
// shows of the kernels alone: with blocks of 16, (n + 1) / 2n of n blocks are computed.
// On llvmpipe with nothing beside it (results/), of the composed CPU time: base inference 0.95 (vision) and 0.91 (text), for products are
// nine tenths of it; base training 0.88; small inference 0.85 and 0.78, training 0.98. Runs on a busy machine were 0.1 off to either side.
import { parseArgs } from "node:util";
import { CLIPModel, clipConfig } from "@wgrad/models";
import {
  AdamW,
  capture,
  manualSeed,
  noGrad,
  randn,
  scaledDotProductAttention,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { timed } from "../lib/measure.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { inTurn } from "./in-turn.mjs";

const { values: options } = parseArgs({
  options: {
    only: { type: "string", default: "base,small" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const rounds = Number(options.rounds);
const TOKENS = 77;
const SMALL = { hidden_size: 192, intermediate_size: 768, num_attention_heads: 3 };
const SIZES = {
  base: {
    batch: 4,
    config: {
      text_config: { num_hidden_layers: 2 },
      vision_config: { patch_size: 16, num_hidden_layers: 2 },
    },
  },
  small: {
    batch: 16,
    config: {
      projection_dim: 128,
      text_config: { ...SMALL, num_hidden_layers: 3 },
      vision_config: { ...SMALL, num_hidden_layers: 6, image_size: 64, patch_size: 8 },
    },
  },
};
const LOWEST = -3.4028234e38;
/** Forward passes of attention alone that are timed together: one of them takes little more than the call itself. */
const CALLS = 4;

const device = await openDevice();

/** softmax(q kᵀ / √d) v with the library's operations, as one writes it down. */
function composedAttention(q, k, v, { mask, isCausal }) {
  let scores = q.matmul(k.transpose(2, 3)).mul(1 / Math.sqrt(q.size(-1)));
  if (mask) scores = scores.maskedFill(mask.eq(0), LOWEST);
  if (isCausal) {
    const later = Tensor.full(device, [q.size(2), k.size(2)], 1).triu(1);
    scores = scores.maskedFill(later.eq(1), LOWEST);
  }
  return scores.softmax(-1).matmul(v);
}

/** Has every attention of a model composed. */
function compose(model) {
  for (const [, module] of model.namedModules()) {
    if (!("q_proj" in module)) continue;
    const heads = module.q_proj.outFeatures / 64;
    module.forward = (x, range) =>
      scope(() => {
        const [batch, length, width] = x.shape;
        const split = (y) => y.reshape([batch, length, heads, width / heads]).transpose(1, 2);
        const [q, k, v] = [module.q_proj, module.k_proj, module.v_proj].map((layer) =>
          split(layer.forward(x)),
        );
        const context = composedAttention(q, k, v, range).transpose(1, 2).reshape(x.shape);
        return { context: module.out_proj.forward(context), weights: null };
      });
  }
  return model;
}

/** The steps of a model of one size, captured: each tower in inference, and training. */
function stepsOf({ batch, config }, composed) {
  manualSeed(device, 1);
  const model = new CLIPModel(device, clipConfig(config)).initAllWeights();
  if (composed) compose(model);
  const { imageSize } = model.config.visionConfig;
  const pixelValues = randn(device, [batch, 3, imageSize, imageSize]);
  const ids = Int32Array.from({ length: batch * TOKENS }, (_, i) => {
    const [row, at] = [Math.floor(i / TOKENS), i % TOKENS];
    if (at === 0) return 49406;
    return at < 8 + (row % 20) ? 1000 + ((97 * row + 31 * at) % 40000) : 49407;
  });
  const inputIds = Tensor.from(device, ids, [batch, TOKENS]);
  const optimizer = new AdamW([...model.parameters()], { lr: 1e-4 });
  const forms = {
    "vision, inference": [(x) => noGrad(() => model.getImageFeatures({ pixelValues: x })), [pixelValues]],
    "text, inference": [(x) => noGrad(() => model.getTextFeatures({ inputIds: x })), [inputIds]],
    "both, training": [
      (tokens, pixels) => {
        const { loss } = model.forward({ inputIds: tokens, pixelValues: pixels, returnLoss: true });
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss.detach();
      },
      [inputIds, pixelValues],
    ],
  };
  const steps = {};
  for (const [name, [body, inputs]] of Object.entries(forms)) {
    const step = capture(body);
    steps[name] = async (keep = false) => {
      const made = scope(() => step(...inputs));
      await device.synchronize();
      return keep ? await made.toArray() : null;
    };
  }
  return {
    steps,
    dispose() {
      for (const tensor of [pixelValues, inputIds]) tensor.dispose();
      optimizer.dispose();
      model.dispose();
      device.emptyCache();
    },
  };
}

/** What calls of a captured step take beside time, once it is recorded. */
async function costs(step) {
  for (let i = 0; i < 3; i++) await step();
  const [before, { liveBytes }] = [device.snapshot(), device.memory()];
  device.pool.resetPeak();
  for (let i = 0; i < 2; i++) await step();
  const after = device.snapshot();
  const each = (name) => (after[name] - before[name]) / 2;
  return {
    dispatches: each("dispatches"),
    submissions: each("submissions"),
    buffersMade: each("buffersCreated"),
    bytesGrown: device.memory().liveBytes - liveBytes,
  };
}

const rows = [];
const checks = [];
for (const size of options.only.split(",")) {
  const ways = { fused: stepsOf(SIZES[size], false), composed: stepsOf(SIZES[size], true) };
  for (const what of Object.keys(ways.fused.steps)) {
    const [fused, composed] = [ways.fused.steps[what], ways.composed.steps[what]];
    const [got, want] = [await fused(true), await composed(true)];
    const largest = Math.max(...want.map(Math.abs));
    const difference = Math.max(...got.map((value, i) => Math.abs(value - want[i]))) / largest;
    const found = { fused: await costs(fused), composed: await costs(composed) };
    const timedWays = await inTurn(
      [
        { name: "fused", step: () => fused() },
        { name: "composed", step: () => composed() },
      ],
      { rounds, warmup: 0 },
    );
    const [cpu, composedCpu] = timedWays.map(({ cpu: ms }) => ms);
    const least = timedWays.map(({ samples }) => Math.min(...samples));
    rows.push({
      size,
      what,
      cpu,
      composedCpu,
      perCpuSecond: 1000 / cpu,
      composedPerCpuSecond: 1000 / composedCpu,
      ratio: least[0] / least[1],
      dispatches: found.fused.dispatches,
      composedDispatches: found.composed.dispatches,
      difference,
    });
    const name = `${size}, ${what}`;
    checks.push(
      { what: `${name}: of the composed CPU time`, found: least[0] / least[1], atMost: 1 },
      { what: `${name}: difference`, found: difference, atMost: 1e-4 },
      { what: `${name}: submissions a step`, found: found.fused.submissions, atMost: 1 },
      {
        what: `${name}: buffers made after the third`,
        found: found.fused.buffersMade + Math.max(0, found.fused.bytesGrown),
        atMost: 0,
      },
    );
  }
  for (const way of Object.values(ways)) way.dispose();
}

/** CPU milliseconds of attention alone, forward and backward, causal and not, and the bytes that each way holds at its peak. */
async function alone(length) {
  const shape = [4, length, 8, 64];
  const leaves = [1, 2, 3].map(() => randn(device, shape).requiresGrad_(true));
  const [q, k, v] = leaves.map((x) => x.transpose(1, 2));
  const dy = randn(device, shape);
  const forms = {
    causal: () => scaledDotProductAttention(q, k, v, { isCausal: true }),
    whole: () => scaledDotProductAttention(q, k, v),
    composed: () => composedAttention(q, k, v, { mask: null, isCausal: true }),
  };
  const result = { length };
  const clear = () => {
    for (const leaf of leaves) {
      leaf.grad?.dispose();
      leaf.grad = null;
    }
  };
  const none = () => Object.fromEntries(Object.keys(forms).map((name) => [name, Number.POSITIVE_INFINITY]));
  const samples = { forward: none(), both: none() };
  for (let round = -1; round < 5 * rounds; round++) {
    for (const [name, form] of Object.entries(forms)) {
      const forward = await timed(async () => {
        for (let call = 0; call < CALLS; call++) noGrad(() => scope(() => void form()));
        await device.synchronize();
      });
      device.pool.resetPeak();
      const { liveBytes } = device.memory();
      const both = await timed(async () => {
        scope(() => form().transpose(1, 2).backward({ gradient: dy }));
        await device.synchronize();
      });
      result[`${name}Bytes`] = device.memory().peakLiveBytes - liveBytes;
      clear();
      if (round < 0) continue;
      samples.forward[name] = Math.min(samples.forward[name], forward.cpu / CALLS);
      samples.both[name] = Math.min(samples.both[name], both.cpu);
    }
  }
  for (const tensor of [q, k, v, dy, ...leaves]) tensor.dispose();
  device.emptyCache();
  return { ...result, ...samples };
}

const kernels = [];
for (const length of [77, 197, 512]) kernels.push(await alone(length));
for (const { length, forward, both } of kernels) {
  const blocks = Math.ceil(length / 16);
  // Passing over hidden blocks leaves (n + 1) / 2n of them; the rest is what does not depend on them.
  const atMost = (blocks + 1) / (2 * blocks) + 0.2;
  checks.push(
    { what: `${length} tokens: causal / not, forward`, found: forward.causal / forward.whole, atMost },
    { what: `${length} tokens: causal / not, with backward`, found: both.causal / both.whole, atMost },
  );
}

console.log(`${device.description}: towers of CLIP, captured\n`);
console.log(
  table(
    ["step", "CPU ms", "composed", "of it", "steps a CPU second", "composed", "dispatches", "composed"],
    rows.map((r) => [
      `${r.size}, ${r.what}`,
      short(r.cpu),
      short(r.composedCpu),
      short(r.ratio),
      short(r.perCpuSecond),
      short(r.composedPerCpuSecond),
      r.dispatches,
      r.composedDispatches,
    ]),
  ),
);
const mib = (bytes) => short(bytes / 2 ** 20);
console.log(
  `\n${table(
    [
      "4 x 8 heads, 64 wide",
      "causal",
      "not",
      "composed",
      "causal + backward",
      "not",
      "composed",
      "MiB",
      "composed",
    ],
    kernels.map((r) => [
      `${r.length} tokens, CPU ms`,
      ...["causal", "whole", "composed"].map((name) => short(r.forward[name])),
      ...["causal", "whole", "composed"].map((name) => short(r.both[name])),
      mib(r.causalBytes),
      mib(r.composedBytes),
    ]),
  )}`,
);
console.log(`\n${checkTable(checks)}`);
writeJson(options.json, "step-clip-attention", device.info, { rows, kernels, checks });
device.close();
