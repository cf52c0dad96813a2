import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { type Device, noGrad, scope, skipInit, Tensor } from "@wgrad/tensor";
import { type CaseChecker, type ReportRow, rowOf, runCase, skippedRow, type Tolerance } from "./compare.js";
import { readCases } from "./files.js";

interface FullCase {
  config: Record<string, unknown>;
  parameters_base_model: number;
  parameters_with_head: number;
  input_ids: number[][];
  attention_mask: number[][];
  labels: number[];
  out: { logits: number[][]; loss: number; cls_first8: Record<string, number[][]> };
  grads: Record<string, { shape: number[]; l2: number; sum: number; first4: number[] }>;
  true_zero_gradients: string[];
  tol: { out: Tolerance; grad_l2: { rtol: number } };
}

/** What a gradient that is zero in exact arithmetic may be at most. */
const TRUE_ZERO = 1e-5;

/** Full-size models whose weights a rule makes, so that none need be stored. */
export async function verifyFullSize(
  device: Device,
  path: string,
  onRow: (row: ReportRow) => void,
  onStatus: (text: string) => void,
): Promise<void> {
  const file = await readCases<Record<string, unknown>>(path);
  for (const [name, value] of Object.entries(file)) {
    if (typeof value !== "object" || value === null || !("config" in value)) continue;
    if (!name.startsWith("distilbert")) {
      onRow(skippedRow("models", `full ${name}`, 2, "CLIP is not built by this version"));
      continue;
    }
    const one = value as FullCase;
    onStatus(`models ${name}: filling ${one.parameters_with_head.toLocaleString("en-US")} weights`);
    const model = skipInit(
      () => new DistilBertForSequenceClassification(device, distilBertConfig(one.config)),
    );
    try {
      for (const [key, parameter] of model.namedParameters()) {
        parameter.copy_(ruleValues(key, parameter.numel));
        await device.pace();
      }
      model.eval();
      onStatus(`models ${name}: forward and backward`);
      const outputs = await runCase("outputs", (check) => checkOutputs(check, model, one));
      const gradients = await runCase("gradients", (check) => checkGradients(check, model, one));
      onRow(rowOf("models", `full ${name}`, [outputs, gradients]));
    } finally {
      model.zeroGrad();
      model.dispose();
    }
  }
}

function inputsOf(device: Device, one: FullCase) {
  const shape = [one.input_ids.length, one.input_ids[0]!.length];
  return {
    inputIds: Tensor.from(device, Int32Array.from(one.input_ids.flat()), shape),
    attentionMask: Tensor.from(device, Int32Array.from(one.attention_mask.flat()), shape),
    labels: Tensor.from(device, Int32Array.from(one.labels), [one.labels.length]),
  };
}

async function checkOutputs(
  check: CaseChecker,
  model: DistilBertForSequenceClassification,
  one: FullCase,
): Promise<void> {
  check.equal("parameters", model.numParameters(), one.parameters_with_head);
  check.equal("parameters of the encoder", model.distilbert.numParameters(), one.parameters_base_model);
  const output = noGrad(() =>
    scope(() => model.forward({ ...inputsOf(model.device, one), outputHiddenStates: true })),
  );
  const { tol, out } = one;
  check.close("loss", [await output.loss!.item()], [out.loss], tol.out);
  check.close("logits", (await output.logits.toArray()) as Float32Array, out.logits.flat(), tol.out);
  for (const [i, hidden] of output.hiddenStates!.entries()) {
    const cls = scope(() => hidden.select(1, 0).narrow(-1, 0, 8).contiguous());
    const want = out.cls_first8[`hidden_states.${i}`]!;
    check.close(`hidden_states.${i}`, (await cls.toArray()) as Float32Array, want.flat(), tol.out);
    cls.dispose();
  }
  for (const tensor of [output.loss!, output.logits, ...output.hiddenStates!]) tensor.dispose();
}

async function checkGradients(
  check: CaseChecker,
  model: DistilBertForSequenceClassification,
  one: FullCase,
): Promise<void> {
  scope(() => model.forward(inputsOf(model.device, one)).loss!.backward());
  const zero = new Set(one.true_zero_gradients);
  const parameters = new Map(model.namedParameters());
  for (const [name, want] of Object.entries(one.grads)) {
    const parameter = parameters.get(name);
    if (!parameter?.grad) {
      check.fail(`${name}: no gradient came.`);
      continue;
    }
    check.equal(`shape of ${name}`, parameter.shape.join(), want.shape.join());
    const values = (await parameter.grad.toArray()) as Float32Array;
    let squares = 0;
    for (const v of values) squares += v * v;
    const tolerance = zero.has(name) ? { rtol: 0, atol: TRUE_ZERO } : { rtol: one.tol.grad_l2.rtol, atol: 0 };
    check.close(
      `norm of the gradient of ${name}`,
      [Math.sqrt(squares)],
      [zero.has(name) ? 0 : want.l2],
      tolerance,
    );
    parameter.grad.dispose();
    parameter.grad = null;
  }
}

/**
 * Values of a parameter by the rule of the reference cases: FNV-1a of its name, lowbias32 of that plus the index, scaled by what
 * kind of weight it is.
 */
export function ruleValues(name: string, count: number): Float32Array {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  const out = new Float32Array(count);
  const isNorm = /norm/i.test(name) && name.endsWith("weight");
  const scale = isNorm ? 0.1 : name.endsWith("bias") ? 0.02 : 0.05;
  const base = isNorm ? 1 : 0;
  for (let i = 0; i < count; i++) {
    let x = (hash + i) | 0;
    x ^= x >>> 16;
    x = Math.imul(x, 0x7feb352d);
    x ^= x >>> 15;
    x = Math.imul(x, 0x846ca68b);
    x ^= x >>> 16;
    const u = ((x >>> 8) - 8388608) / 8388608;
    out[i] = base + scale * u;
  }
  return out;
}
