// CLIP ViT-B/16 at full size, weights and inputs by the rule of the reference cases: time of a picture's forward, memory, and one
// LoRA step of contrastive training beside PyTorch's (transformers and peft) loss and gradient norms in the same run.
//
//   node bench/step/clip-vit.mjs [--python python3] [--rounds 3] [--json file|auto]
//
// --python names an interpreter with torch, transformers and peft; without them wgrad is measured alone. The step is the one of the
// lab clip-lora-contrastive: r 8 on q_proj and v_proj of both towers, 4 pictures, 4 texts of 77 tokens. It is made twice, with every
// B zero as a new adapter has it, and with B small but not zero, for with B zero no A has a gradient. About 4 GiB of memory, some
// minutes on a software driver.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { CLIPModel, clipConfig } from "@wgrad/models";
import { getPeftModel } from "@wgrad/peft";
import { AdamW, capture, noGrad, scope, skipInit, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { loadRule } from "../lib/engine.mjs";
import { median, peakMiB, timed } from "../lib/measure.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";

const { values: options } = parseArgs({
  options: {
    python: { type: "string", default: "python3" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const rounds = Number(options.rounds);
const BATCH = 4;
const TOKENS = 77;
const START = 49406;
const END = 49407;
const LORA = { r: 8, loraAlpha: 16, targetModules: ["q_proj", "v_proj"] };
const LR = 1e-4;
/** Scale of every B in the two cases. */
const B_SCALES = [0, 0.02];
const CONFIG = {
  text_config: { eos_token_id: 2 },
  vision_config: { patch_size: 16 },
  projection_dim: 512,
};

const { ruleNumbers, ruleValues } = await loadRule();
/** Texts of different lengths, padded with the end-of-text token as CLIP's tokenizer does. */
const lengths = [9, 12, 7, 20];
const inputIds = lengths.map((length, row) =>
  Array.from({ length: TOKENS }, (_, i) => {
    if (i === 0) return START;
    return i < length - 1 ? 1000 + ((row * 977 + i * 131) % 40000) : END;
  }),
);
const attentionMask = lengths.map((length) => Array.from({ length: TOKENS }, (_, i) => Number(i < length)));
const pixelShape = [BATCH, 3, 224, 224];

function askTorch() {
  const request = {
    config: CONFIG,
    r: LORA.r,
    alpha: LORA.loraAlpha,
    targets: LORA.targetModules,
    lr: LR,
    b_scales: B_SCALES,
    input_ids: inputIds,
    attention_mask: attentionMask,
    pixel_shape: pixelShape,
    threads: 1,
  };
  const script = fileURLToPath(new URL("clip-vit.py", import.meta.url));
  const { status, stdout, stderr } = spawnSync(options.python, [script], {
    input: JSON.stringify(request),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  if (status === 0) return JSON.parse(stdout.trim().split("\n").at(-1));
  const why = stderr.trim().split("\n").at(-1);
  console.error(`${options.python} could not make the step (${why}): wgrad is measured alone.`);
  return null;
}

const torch = askTorch();
const device = await openDevice();
const model = skipInit(() => new CLIPModel(device, clipConfig(CONFIG))).eval();
for (const [name, parameter] of model.namedParameters()) {
  parameter.copy_(ruleValues(name, parameter.numel));
  await device.pace();
}
const pixels = ruleNumbers(
  "pixel_values",
  pixelShape.reduce((a, b) => a * b),
).map((u) => 2 * u);
const rows = (values) => Tensor.from(device, Int32Array.from(values.flat()), [values.length, TOKENS]);

/** Calls of a captured step, after those that compile and record: time, and what they made anew. */
async function measured(step, ...inputs) {
  const call = async () => {
    scope(() => void step(...inputs));
    await device.synchronize();
  };
  for (let i = 0; i < 3; i++) await call();
  const before = device.snapshot();
  const samples = [];
  device.pool.resetPeak();
  for (let i = 0; i < rounds; i++) samples.push(await timed(call));
  const after = device.snapshot();
  const each = (name) => (after[name] - before[name]) / rounds;
  return {
    cpu: median(samples.map(({ cpu }) => cpu)),
    wall: median(samples.map(({ wall }) => wall)),
    dispatches: each("dispatches"),
    submissions: each("submissions"),
    buffersMade: each("buffersCreated"),
    peakMiB: device.memory().peakLiveBytes / 2 ** 20,
  };
}

const measurements = [];
for (const count of [1, BATCH]) {
  const part = Tensor.from(device, pixels.slice(0, (pixels.length / BATCH) * count), [count, 3, 224, 224]);
  const step = capture((pixelValues) => noGrad(() => model.getImageFeatures({ pixelValues })));
  measurements.push({ what: `vision forward, ${count}`, of: count, ...(await measured(step, part)) });
  part.dispose();
}
const texts = rows(inputIds);
const textStep = capture((ids) => noGrad(() => model.getTextFeatures({ inputIds: ids })));
measurements.push({ what: `text forward, ${BATCH}`, of: BATCH, ...(await measured(textStep, texts)) });

const parameters = model.numParameters();
const peft = getPeftModel(model, LORA);
const input = {
  inputIds: texts,
  attentionMask: rows(attentionMask),
  pixelValues: Tensor.from(device, pixels, pixelShape),
};
const trained = [...peft.parameters()].filter((p) => p.requiresGrad);
const forward = () => peft.forward({ ...input, returnLoss: true });
const norm = async (x) => Math.sqrt((await x.toArray()).reduce((sum, v) => sum + v * v, 0));

/** One step from a given start: its loss, the norm of each gradient, and the loss after it. */
async function oneStep(scale) {
  for (const [key, parameter] of peft.adapterState()) {
    const factor = key.includes("lora_A") ? 0.05 : scale;
    parameter.copy_(ruleNumbers(key, parameter.numel).map((u) => factor * u));
  }
  const optimizer = new AdamW(trained, { lr: LR, weightDecay: 0.01 });
  const { loss, logitsPerImage } = scope(() => {
    const output = forward();
    output.loss.backward();
    return output;
  });
  const norms = {};
  for (const [key, { grad }] of peft.adapterState()) norms[key] = await norm(grad);
  const result = { loss: await loss.item(), logits: [...(await logitsPerImage.toArray())], norms };
  optimizer.step();
  optimizer.zeroGrad();
  const after = noGrad(() => scope(() => forward().loss));
  const found = { ...result, after: await after.item() };
  for (const tensor of [loss, logitsPerImage, after]) tensor.dispose();
  optimizer.dispose();
  return found;
}

const cases = [];
for (const scale of B_SCALES) cases.push(await oneStep(scale));
const optimizer = new AdamW(trained, { lr: LR, weightDecay: 0.01 });
const trainStep = capture((ids, mask, pixelValues) => {
  const { loss } = peft.forward({ inputIds: ids, attentionMask: mask, pixelValues, returnLoss: true });
  loss.backward();
  optimizer.step();
  optimizer.zeroGrad();
  return loss.detach();
});
measurements.push({
  what: `LoRA step, ${BATCH}`,
  of: BATCH,
  ...(await measured(trainStep, input.inputIds, input.attentionMask, input.pixelValues)),
});

const farthest = (a, b) => Math.max(...a.map((value, i) => Math.abs(value - b[i])));
/** Norms below this are rounding: with B zero no A has a gradient. */
const NOTHING = 1e-9;
const compared = torch?.cases.map((theirs, i) => {
  const ours = cases[i];
  const keys = Object.keys(theirs.norms);
  const relative = keys.map((key) => {
    const [got, want] = [ours.norms[key], theirs.norms[key]];
    if (want <= NOTHING) return got <= NOTHING ? 0 : Number.POSITIVE_INFINITY;
    return Math.abs(got - want) / want;
  });
  return {
    bScale: B_SCALES[i],
    loss: { wgrad: ours.loss, torch: theirs.loss },
    lossAfter: { wgrad: ours.after, torch: theirs.after },
    logits: farthest(ours.logits, theirs.logits),
    gradients: keys.length,
    gradientsNotZero: keys.filter((key) => theirs.norms[key] > NOTHING).length,
    largestRelativeDifference: Math.max(...relative),
    torchCpuSeconds: theirs.cpu,
  };
});
const captured = measurements.flatMap(({ what, submissions, buffersMade }) => [
  { what: `${what}: submissions a step`, found: submissions, atMost: 1 },
  { what: `${what}: buffers made after the third`, found: buffersMade, atMost: 0 },
]);
const beside = (compared ?? []).flatMap((one) => {
  const name = `B ${one.bScale === 0 ? "zero" : "not zero"}`;
  return [
    { what: `${name}: loss, difference`, found: Math.abs(one.loss.wgrad - one.loss.torch), atMost: 1e-5 },
    {
      what: `${name}: loss after a step, difference`,
      found: Math.abs(one.lossAfter.wgrad - one.lossAfter.torch),
      atMost: 1e-4,
    },
    { what: `${name}: norms, relative difference`, found: one.largestRelativeDifference, atMost: 1e-3 },
  ];
});
const checks = [...captured, ...beside];

console.log(`${device.description}: CLIP ViT-B/16, ${parameters.toLocaleString("en-US")} parameters\n`);
console.log(
  table(
    ["captured", "CPU ms", "wall ms", "CPU ms each", "dispatches", "MiB of tensors at the peak"],
    measurements.map((m) => [
      m.what,
      short(m.cpu),
      short(m.wall),
      short(m.cpu / m.of),
      m.dispatches,
      short(m.peakMiB),
    ]),
  ),
);
console.log(
  `\npeak of the process: ${peakMiB()} MiB resident, with the driver's code and the host's copies\n`,
);
if (compared) {
  console.log(
    table(
      [
        "one LoRA step",
        "loss",
        "torch",
        "loss after",
        "torch",
        "norms not zero",
        "farthest norm",
        "torch CPU s",
      ],
      compared.map((one) => [
        one.bScale === 0 ? "B zero" : `B ${one.bScale} u`,
        one.loss.wgrad.toFixed(6),
        one.loss.torch.toFixed(6),
        one.lossAfter.wgrad.toFixed(6),
        one.lossAfter.torch.toFixed(6),
        `${one.gradientsNotZero} of ${one.gradients}`,
        short(one.largestRelativeDifference),
        short(one.torchCpuSeconds),
      ]),
    ),
  );
}
console.log(`\n${checkTable(checks)}`);
writeJson(options.json, "step-clip-vit", device.info, {
  measurements,
  residentMiB: peakMiB(),
  compared: compared ?? null,
  versions: torch?.versions ?? null,
  checks,
});
device.close();
