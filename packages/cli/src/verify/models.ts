import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { AdamW, clipGradNorm_, type Device, noGrad, scope } from "@wgrad/tensor";
import { type TrainableModel, Trainer } from "@wgrad/trainer";
import {
  type CaseModel,
  caseFeatures,
  caseInput,
  isCaseModel,
  openCaseModel,
  runCaseModel,
} from "./case-models.js";
import {
  type CaseChecker,
  type CaseResult,
  type ReportRow,
  rowOf,
  runCase,
  skippedRow,
  type Tolerance,
} from "./compare.js";
import { readCases, StoredTensors } from "./files.js";
import { verifyFullSize } from "./full-size.js";

interface ModelCases {
  model: string;
  parameters: number;
  train: { lr: number; betas: [number, number]; eps: number; weight_decay: number; steps: number };
  trainer?: { lr: number; weight_decay: number; max_grad_norm: number; steps: number; lr_per_step: number[] };
  /** Of a gradient also the largest error of torch's own float32. */
  tol: Record<string, Tolerance & { torch_f32_err?: number }>;
}

/** Outputs, gradients and training steps of the models, against transformers in float64. */
export async function verifyModels(
  device: Device,
  folder: string,
  onRow: (row: ReportRow) => void,
  onStatus: (text: string) => void,
): Promise<void> {
  for (const name of (await readdir(folder)).sort()) {
    const place = join(folder, name);
    if (existsSync(join(place, "full.json"))) {
      await verifyFullSize(device, join(place, "full.json"), onRow, onStatus);
      continue;
    }
    if (!existsSync(join(place, "io.json"))) continue;
    const cases = await readCases<ModelCases>(join(place, "io.json"));
    const parts = ["outputs", "gradients", "train", ...(cases.trainer ? ["trainer"] : [])];
    if (!isCaseModel(cases.model)) {
      onRow(skippedRow("models", name, parts.length, `${cases.model} is not built by this version`));
      continue;
    }
    onStatus(`models ${name}`);
    onRow(rowOf("models", name, await verifyFolder(device, place, cases)));
  }
}

async function verifyFolder(device: Device, folder: string, cases: ModelCases): Promise<CaseResult[]> {
  const stored = await StoredTensors.open(join(folder, "io.safetensors"));
  const using = async (name: string, body: (check: CaseChecker, model: CaseModel) => Promise<void>) =>
    runCase(name, async (check) => {
      const model = await openCaseModel(cases.model, device, folder, { onWarning: () => {} });
      try {
        await body(check, model);
      } finally {
        model.zeroGrad();
        model.dispose();
      }
    });
  const results = [
    await using("outputs", (check, model) => checkOutputs(check, model, stored, cases)),
    await using("gradients", (check, model) => checkGradients(check, model, stored, cases)),
    await using("train", (check, model) => checkTraining(check, model, stored, cases)),
  ];
  if (cases.trainer) {
    results.push(await using("trainer", (check, model) => checkTrainer(check, model, stored, cases)));
  }
  return results;
}

/** The loss of the batch whose tensors stand behind `prefix`. */
const lossOf = (model: CaseModel, stored: StoredTensors, prefix: string) =>
  runCaseModel(model, caseInput(model.device, stored, prefix)).loss;

async function checkOutputs(
  check: CaseChecker,
  model: CaseModel,
  stored: StoredTensors,
  cases: ModelCases,
): Promise<void> {
  check.equal("parameters", model.numParameters(), cases.parameters);
  const named = noGrad(() =>
    scope(() => {
      const input = caseInput(model.device, stored, "in.");
      return new Map([...runCaseModel(model, input, true).named, ...caseFeatures(model, input)]);
    }),
  );
  for (const name of stored.names.filter((n) => n.startsWith("out."))) {
    const tensor = named.get(name.slice(4));
    if (!tensor) check.fail(`${name}: the model gave none.`);
    else check.close(name, (await tensor.toArray()) as Float32Array, stored.floats(name), cases.tol[name]);
  }
  for (const tensor of named.values()) tensor.dispose();
}

async function checkGradients(
  check: CaseChecker,
  model: CaseModel,
  stored: StoredTensors,
  cases: ModelCases,
): Promise<void> {
  scope(() => lossOf(model, stored, "in.").backward());
  const parameters = new Map(model.namedParameters());
  for (const name of stored.names.filter((n) => n.startsWith("grad."))) {
    const parameter = parameters.get(name.slice(5));
    const want = stored.floats(name);
    if (parameter?.grad)
      check.close(name, (await parameter.grad.toArray()) as Float32Array, want, cases.tol[name]);
    // What the loss does not depend on has no gradient here, and one of zeros in the cases.
    else if (!parameter || want.some((value) => value !== 0)) check.fail(`${name}: no gradient came.`);
  }
}

/**
 * How far elements may be off because their gradient is rounding noise. Adam divides a gradient by its own size: its first step is
 * lr · g / (|g| + eps), and an error d of g moves that by lr · d · eps / (|g| + eps)², by lr at most. Taken for d is what torch's own
 * float32 was off by in the same tensor, and only where g is no larger than that: gradients which float32 cannot tell from zero, as
 * those of the key biases, for which the cases themselves allow as much. Elsewhere the tolerance of the cases stands as it is.
 */
class RoundingLeeway {
  readonly #of = new Map<string, Float32Array>();
  readonly #cases: ModelCases;

  constructor(cases: ModelCases) {
    this.#cases = cases;
  }

  /** Takes in the gradients of a step before the optimizer uses them. */
  async note(model: CaseModel, lr: number, eps: number): Promise<void> {
    for (const [name, { grad, numel }] of model.namedParameters()) {
      const noise = this.#cases.tol[`grad.${name}`]?.torch_f32_err;
      if (!grad || noise === undefined) continue;
      const values = (await grad.toArray()) as Float32Array;
      const leeway = this.#of.get(name) ?? new Float32Array(numel);
      for (const [i, value] of values.entries()) {
        const size = Math.abs(value);
        if (size > 0 && size <= noise) leeway[i]! += Math.min(lr, (lr * noise * eps) / (size + eps) ** 2);
      }
      this.#of.set(name, leeway);
    }
  }

  of(name: string): Float32Array | undefined {
    return this.#of.get(name);
  }
}

/** Five steps of AdamW with decay on all parameters, no clipping. */
async function checkTraining(
  check: CaseChecker,
  model: CaseModel,
  stored: StoredTensors,
  cases: ModelCases,
): Promise<void> {
  const { lr, betas, eps, weight_decay: weightDecay, steps } = cases.train;
  const optimizer = new AdamW(model.parameters(), { lr, betas, eps, weightDecay });
  const leeway = new RoundingLeeway(cases);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    const loss = scope(() => {
      const made = lossOf(model, stored, `train.in.${step}.`);
      made.backward();
      return made.detach();
    });
    await leeway.note(model, lr, eps);
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(await loss.item());
    loss.dispose();
  }
  check.close("train.losses", losses, stored.floats("train.losses"), cases.tol["train.losses"]);
  await checkFinal(check, model, stored, cases, "train.final.", leeway);
  optimizer.dispose();
}

/** The same batches as Hugging Face's Trainer takes them: its parameter groups, clipping and rates. */
async function checkTrainer(
  check: CaseChecker,
  model: CaseModel,
  stored: StoredTensors,
  cases: ModelCases,
): Promise<void> {
  const settings = cases.trainer!;
  const trainer = new Trainer({
    model: model as unknown as TrainableModel,
    args: {
      learningRate: settings.lr,
      weightDecay: settings.weight_decay,
      maxGradNorm: settings.max_grad_norm,
    },
    dataCollator: () => {
      throw new Error("the cases bring their own batches.");
    },
  });
  model.eval();
  const optimizer = trainer.createOptimizer();
  const leeway = new RoundingLeeway(cases);
  const losses: number[] = [];
  const norms: number[] = [];
  for (let step = 0; step < settings.steps; step++) {
    const lr = settings.lr_per_step[step]!;
    for (const group of optimizer.paramGroups) group.lr = lr;
    const loss = scope(() => {
      const made = lossOf(model, stored, `train.in.${step}.`);
      made.backward();
      return made.detach();
    });
    await leeway.note(model, lr, trainer.args.adamEpsilon);
    const norm = clipGradNorm_(model.parameters(), settings.max_grad_norm);
    optimizer.step();
    optimizer.zeroGrad();
    losses.push(await loss.item());
    norms.push(await norm.item());
    loss.dispose();
    norm.dispose();
  }
  check.close("trainer.losses", losses, stored.floats("trainer.losses"), cases.tol["trainer.losses"]);
  check.close(
    "trainer.grad_norms",
    norms,
    stored.floats("trainer.grad_norms"),
    cases.tol["trainer.grad_norms"],
  );
  await checkFinal(check, model, stored, cases, "trainer.final.", leeway);
  optimizer.dispose();
}

async function checkFinal(
  check: CaseChecker,
  model: CaseModel,
  stored: StoredTensors,
  cases: ModelCases,
  prefix: string,
  leeway: RoundingLeeway,
): Promise<void> {
  const parameters = new Map(model.namedParameters());
  for (const name of stored.names.filter((n) => n.startsWith(prefix))) {
    const key = name.slice(prefix.length);
    const parameter = parameters.get(key);
    if (!parameter) {
      check.fail(`${name}: the model has no such parameter.`);
      continue;
    }
    const values = (await parameter.toArray()) as Float32Array;
    check.close(name, values, stored.floats(name), cases.tol[name], leeway.of(key));
  }
}
