import {
  Adafactor,
  AdamW,
  LayerNorm,
  type Module,
  type OptimizerState,
  type Parameter,
  SGD,
  type StepOptions,
  type Tensor,
} from "@wgrad/tensor";
import { TrainerError } from "./errors.js";
import { fromSnakeCase, type TrainingArguments } from "./training-arguments.js";

/** An optimizer as the trainer uses it: those of `@wgrad/tensor`, or one's own. */
export interface TrainerOptimizer {
  /** The learning rate of each group is set before each step, but for one that is null. */
  readonly paramGroups: readonly { readonly params: Tensor[]; lr: number | null }[];
  step(options?: StepOptions): void;
  zeroGrad(): void;
  stateDict(): OptimizerState;
  loadStateDict(state: OptimizerState): void;
  dispose(): void;
}

/** Names of the parameters that weight decay acts on: all but biases and LayerNorm's, as Hugging Face's Trainer. */
export function decayParameterNames(model: Module): string[] {
  const exempt = new Set<Parameter>();
  for (const [, module] of model.namedModules()) {
    if (module instanceof LayerNorm) for (const p of module.parameters()) exempt.add(p);
  }
  return [...model.namedParameters()]
    .filter(([name, p]) => !exempt.has(p) && !/(^|\.)bias$/.test(name))
    .map(([name]) => name);
}

/** Options that `optimArgs` may give, by what optimizer, and their kind. */
const OPTIONS: Readonly<Record<string, Readonly<Record<string, "number" | "boolean">>>> = {
  adamw: { beta1: "number", beta2: "number", eps: "number", amsgrad: "boolean" },
  sgd: { momentum: "number", dampening: "number", nesterov: "boolean" },
  adafactor: {
    clip_threshold: "number",
    decay_rate: "number",
    beta1: "number",
    scale_parameter: "boolean",
    relative_step: "boolean",
    warmup_init: "boolean",
  },
};

/** `momentum=0.9,nesterov=true` as options in camelCase. @throws TrainerError `E_ARG_VALUE` for what the optimizer does not take */
function parseOptimArgs(text: string | null, optimizer: string): Record<string, number | boolean> {
  const known = OPTIONS[optimizer]!;
  const out: Record<string, number | boolean> = {};
  for (const piece of (text ?? "").split(",").filter((part) => part.trim() !== "")) {
    const [name = "", value = ""] = piece.split("=").map((part) => part.trim());
    const kind = known[name];
    const isTruth = /^(true|false)$/i.test(value);
    const isRight =
      kind === "boolean" ? isTruth : kind === "number" && value !== "" && !Number.isNaN(Number(value));
    if (!isRight)
      throw new TrainerError(
        "E_ARG_VALUE",
        `optimArgs: "${piece.trim()}" is nothing that ${optimizer} takes. It takes ${Object.entries(known)
          .map(([key, of]) => `${key}=<${of}>`)
          .join(", ")}.`,
      );
    out[fromSnakeCase(name)] = kind === "boolean" ? value.toLowerCase() === "true" : Number(value);
  }
  return out;
}

/**
 * The optimizer that the arguments name, over the trained parameters in two groups, with and without decay.
 * @param decayed names of the parameters with decay
 * @throws TrainerError if nothing is to be trained, or `optimArgs` does not fit
 */
export function makeOptimizer(
  model: Module,
  args: Readonly<TrainingArguments>,
  decayed: ReadonlySet<string>,
): TrainerOptimizer {
  const trained = [...model.namedParameters()].filter(([, p]) => p.requiresGrad);
  if (trained.length === 0)
    throw new TrainerError(
      "E_ARG_VALUE",
      "every parameter of the model is frozen: there is nothing to train.",
    );
  const group = (inGroup: boolean, weightDecay: number) => ({
    params: trained.filter(([name]) => decayed.has(name) === inGroup).map(([, p]) => p),
    weightDecay,
  });
  const groups = [group(true, args.weightDecay), group(false, 0)].filter((g) => g.params.length > 0);
  const lr = args.learningRate;
  if (args.optim === "sgd") return new SGD(groups, { lr, ...parseOptimArgs(args.optimArgs, "sgd") });
  if (args.optim === "adafactor") {
    const options = {
      scaleParameter: false,
      relativeStep: false,
      ...parseOptimArgs(args.optimArgs, "adafactor"),
    };
    return new Adafactor(groups, { lr: options.relativeStep ? null : lr, ...options });
  }
  const { beta1, beta2, ...more } = parseOptimArgs(args.optimArgs, "adamw");
  return new AdamW(groups, {
    lr,
    betas: [Number(beta1 ?? args.adamBeta1), Number(beta2 ?? args.adamBeta2)],
    eps: args.adamEpsilon,
    ...more,
  });
}
