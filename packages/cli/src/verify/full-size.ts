import {
  CLIPModel,
  clipConfig,
  DistilBertForSequenceClassification,
  distilBertConfig,
  type PreTrainedModel,
} from "@wgrad/models";
import { crossEntropy, type Device, noGrad, scope, skipInit, Tensor } from "@wgrad/tensor";
import { type CaseChecker, type ReportRow, rowOf, runCase, skippedRow, type Tolerance } from "./compare.js";
import { readCases } from "./files.js";
import { ruleNumbers, ruleValues } from "./rule.js";

type Rows = number[][];

interface FullCase {
  config: Record<string, unknown>;
  grads: Record<string, { shape: number[]; l2: number; sum: number; first4: number[] }>;
  true_zero_gradients: string[];
  tol: { out: Tolerance; grad_l2: { rtol: number } };
  input_ids: Rows;
  attention_mask: Rows;
  labels: number[];
}

interface DistilBertCase extends FullCase {
  parameters_base_model: number;
  parameters_with_head: number;
  out: { logits: Rows; loss: number; cls_first8: Record<string, Rows> };
}

interface ClipCase extends FullCase {
  parameters: number;
  pixel_values: { rule_name: string; shape: number[] };
  out: {
    logits_per_image: Rows;
    loss: number;
    image_embeds_first8: Rows;
    text_embeds_first8: Rows;
    vision_cls_first8: Rows;
  };
}

/** What is compared of a forward. */
interface FullOutput {
  loss: Tensor;
  /** Of each: what it is called in messages, the tensor, its reference. */
  compared: (readonly [name: string, got: Tensor, want: Rows])[];
}

/** A model of full size with its input. */
interface FullModel {
  model: PreTrainedModel;
  /** Numbers of parameters as they are and as they should be. */
  parameters: Record<string, readonly [got: number, want: number]>;
  forward(): FullOutput;
}

/** By what the names of the cases begin with. */
const FULL_MODELS: Readonly<Record<string, (device: Device, one: never) => FullModel>> = {
  distilbert: fullDistilBert,
  clip: fullClip,
};

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
    const one = value as FullCase;
    const make = FULL_MODELS[name.split("-", 1)[0]!];
    if (!make) {
      onRow(skippedRow("models", `full ${name}`, 2, "this version has no model of this kind."));
      continue;
    }
    const full = skipInit(() => make(device, one as never));
    const { model } = full;
    onStatus(`models ${name}: filling ${model.numParameters().toLocaleString("en-US")} weights`);
    try {
      for (const [key, parameter] of model.namedParameters()) {
        parameter.copy_(ruleValues(key, parameter.numel));
        await device.pace();
      }
      model.eval();
      onStatus(`models ${name}: forward and backward`);
      const outputs = await runCase("outputs", (check) => checkOutputs(check, full, one));
      const gradients = await runCase("gradients", (check) => checkGradients(check, full, one));
      onRow(rowOf("models", `full ${name}`, [outputs, gradients]));
    } finally {
      model.zeroGrad();
      model.dispose();
    }
  }
}

const integers = (device: Device, rows: Rows) =>
  Tensor.from(device, Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);

const textOf = (device: Device, { input_ids, attention_mask }: FullCase) => ({
  inputIds: integers(device, input_ids),
  attentionMask: integers(device, attention_mask),
});

const labelsOf = (device: Device, { labels }: FullCase) => integers(device, [labels]).reshape([-1]);

/** The first eight numbers of each row of [rows, width]. */
const firstEight = (x: Tensor) => x.narrow(-1, 0, 8);

function fullDistilBert(device: Device, one: DistilBertCase): FullModel {
  const model = new DistilBertForSequenceClassification(device, distilBertConfig(one.config));
  return {
    model,
    parameters: {
      parameters: [model.numParameters(), one.parameters_with_head],
      "parameters of the encoder": [model.distilbert.numParameters(), one.parameters_base_model],
    },
    forward() {
      const { loss, logits, hiddenStates } = model.forward({
        ...textOf(device, one),
        labels: labelsOf(device, one),
        outputHiddenStates: true,
      });
      const states = hiddenStates!.map((hidden, i) => {
        const name = `hidden_states.${i}`;
        return [name, firstEight(hidden.select(1, 0)), one.out.cls_first8[name]!] as const;
      });
      return {
        loss: loss!,
        compared: [["loss", loss!, [[one.out.loss]]], ["logits", logits, one.out.logits], ...states],
      };
    },
  };
}

function fullClip(device: Device, one: ClipCase): FullModel {
  const model = new CLIPModel(device, clipConfig(one.config));
  const { rule_name: name, shape } = one.pixel_values;
  const pixels = ruleNumbers(
    name,
    shape.reduce((a, b) => a * b),
  ).map((u) => 2 * u);
  return {
    model,
    parameters: { parameters: [model.numParameters(), one.parameters] },
    forward() {
      const pixelValues = Tensor.from(device, pixels, shape);
      const output = model.forward({ ...textOf(device, one), pixelValues });
      const loss = crossEntropy(output.logitsPerImage, labelsOf(device, one));
      const cls = output.visionModelOutput.lastHiddenState.select(1, 0);
      const { out } = one;
      return {
        loss,
        compared: [
          ["loss", loss, [[out.loss]]],
          ["logits_per_image", output.logitsPerImage, out.logits_per_image],
          ["image_embeds", firstEight(output.imageEmbeds), out.image_embeds_first8],
          ["text_embeds", firstEight(output.textEmbeds), out.text_embeds_first8],
          ["class token", firstEight(cls), out.vision_cls_first8],
        ],
      };
    },
  };
}

async function checkOutputs(check: CaseChecker, full: FullModel, one: FullCase): Promise<void> {
  for (const [what, [got, want]] of Object.entries(full.parameters)) check.equal(what, got, want);
  const { compared } = noGrad(() => scope(() => full.forward()));
  for (const [name, tensor, want] of compared) {
    check.close(name, (await tensor.toArray()) as Float32Array, want.flat(), one.tol.out);
    tensor.dispose();
  }
}

async function checkGradients(check: CaseChecker, full: FullModel, one: FullCase): Promise<void> {
  scope(() => full.forward().loss.backward());
  const zero = new Set(one.true_zero_gradients);
  const parameters = new Map(full.model.namedParameters());
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
