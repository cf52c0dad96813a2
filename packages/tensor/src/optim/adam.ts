import { f32, live, type ParamValue } from "../device/kernel.js";
import { setUp } from "../device/recording.js";
import {
  type AdamSlot,
  adamStep,
  controlSize,
  correctionsAt,
  countSteps,
  prepareAdam,
  stepsAt,
} from "../ops/adam/index.js";
import { writeInto } from "../ops/views/index.js";
import { Tensor } from "../tensor.js";
import { liveScalar } from "./live-scalar.js";
import { Optimizer, type ParamGroup, type Ready, type StepOptions } from "./optimizer.js";

/** Options of `Adam` and `AdamW`, with PyTorch's names and defaults. */
export interface AdamOptions {
  /** Learning rate. Default 1e-3. */
  lr: number;
  /** Decay of the two moments. Default [0.9, 0.999]. */
  betas: readonly [number, number];
  /** Added to the root of the second moment. Default 1e-8. */
  eps: number;
  /** Default 0 (`Adam`), 0.01 (`AdamW`). */
  weightDecay: number;
  /** Divide by the largest second moment so far. Default false. */
  amsgrad: boolean;
}

type AdamReady = Ready<AdamOptions>;

/** What decides whether two parameters may share a dispatch. */
const sharedOptions = ({ betas, eps }: AdamOptions) => `${betas[0]} ${betas[1]} ${eps}`;

const floatOf = (read: () => number): ParamValue => live(() => f32(read()));

/**
 * Adam's step over all parameters takes a few dispatches, whatever the groups: see `ops/adam`. A captured step reads learning
 * rate, weight decay and the number of the step anew at each replay.
 *
 * State: `exp_avg`, `exp_avg_sq` (parts of large buffers that all parameters share) and `step`, a number. From the first step
 * with `foundInf` on (see `GradScaler`) the GPU counts the steps, and `step` is a 0-d tensor.
 */
abstract class AdamBase extends Optimizer<AdamOptions> {
  protected abstract readonly decoupled: boolean;
  /** Where the GPU counts: see `countSteps`. */
  #control: Tensor | null = null;
  /** 1 and 0: stand in for a factor of the gradients, and for "all are finite". */
  #neutral: readonly [Tensor, Tensor] | null = null;

  protected override update(ready: readonly AdamReady[], options: StepOptions): void {
    const composed = ready.filter(({ group }) => group.amsgrad);
    if (composed.length > 0) super.update(composed, options);
    const fused = ready.filter(({ group }) => !group.amsgrad);
    const sets = new Map<string, AdamReady[]>();
    for (const item of fused) {
      const key = sharedOptions(item.group);
      const set = sets.get(key);
      if (set) set.push(item);
      else sets.set(key, [item]);
    }
    for (const set of sets.values()) this.#fused(set, options);
  }

  protected override fixedOptions(group: AdamOptions): unknown {
    return group.amsgrad ? super.fixedOptions(group) : sharedOptions(group);
  }

  override dispose(): void {
    super.dispose();
    for (const tensor of [this.#control, ...(this.#neutral ?? [])]) tensor?.dispose();
    this.#control = null;
    this.#neutral = null;
  }

  #fused(ready: readonly AdamReady[], { gradScale, foundInf }: StepOptions): void {
    const { group } = ready[0]!;
    const { device } = ready[0]!.parameter;
    const step = prepareAdam(ready.map(({ parameter }) => ({ parameter, state: this.stateOf(parameter) })));
    this.#neutral ??= setUp(() => [Tensor.full(device, [], 1).keep(), Tensor.full(device, [], 0).keep()]);
    const scale = gradScale ?? this.#neutral[0];
    const counted =
      foundInf !== undefined || ready.some(({ parameter }) => this.stateOf(parameter).step instanceof Tensor);
    let control = scale;
    if (counted) {
      control = this.#controlOf(ready);
      const skip = foundInf ?? this.#neutral[1];
      for (const range of runs(ready.map(({ index }) => index)))
        countSteps(control, range, scale, skip, group.betas);
    }
    adamStep(
      step,
      ready.map((item) => this.#slot(item, counted)),
      {
        oneMinusBeta1: f32(1 - group.betas[0]),
        beta2: f32(group.betas[1]),
        oneMinusBeta2: f32(1 - group.betas[1]),
        eps: f32(group.eps),
        decoupled: this.decoupled,
        control,
        counted,
      },
    );
  }

  #slot({ parameter, gradient, group, index }: AdamReady, counted: boolean): AdamSlot {
    const { exp_avg: expAvg, exp_avg_sq: expAvgSq } = this.stateOf(parameter) as Record<string, Tensor>;
    const number = counted ? () => 0 : this.countStep(parameter);
    return {
      parameter,
      gradient,
      expAvg: expAvg!,
      expAvgSq: expAvgSq!,
      rate: floatOf(() => (counted ? group.lr : group.lr / (1 - group.betas[0] ** number()))),
      inverseRoot: floatOf(() => (counted ? 0 : 1 / Math.sqrt(1 - group.betas[1] ** number()))),
      decay: floatOf(() => (this.decoupled ? group.lr * group.weightDecay : group.weightDecay)),
      correctionsAt: correctionsAt(index),
    };
  }

  /** The memory in which the GPU counts the steps of these parameters, who bring the numbers that they have. */
  #controlOf(ready: readonly AdamReady[]): Tensor {
    const { device } = ready[0]!.parameter;
    const count = this.paramGroups.reduce((sum, { params }) => sum + params.length, 0);
    return setUp(() => {
      this.#control ??= Tensor.zeros(device, [controlSize(count)]).keep();
      const { storage } = this.#control;
      for (const { parameter, index } of ready) {
        const state = this.stateOf(parameter);
        const { step } = state;
        if (step instanceof Tensor && step.storage === storage) continue;
        const place = new Tensor(storage, [], [], stepsAt(index), "f32").keep();
        if (step instanceof Tensor) {
          writeInto(place, step);
          step.dispose();
        } else if (step !== undefined) {
          writeInto(place, Tensor.full(device, [], step));
        }
        state.step = place;
      }
      return this.#control;
    });
  }

  /** The rarely used AMSGrad (Reddi et al. 2018), composed from tensor operations. */
  protected override updateOne({ parameter: p, gradient, group }: AdamReady): void {
    const { betas, eps, weightDecay } = group;
    const step = this.countStep(p);
    const live = (read: () => number) => liveScalar(p.device, read);
    const m = this.stateTensor(p, "exp_avg");
    const v = this.stateTensor(p, "exp_avg_sq");
    const largest = this.stateTensor(p, "max_exp_avg_sq");
    const decayed = this.decoupled ? p.mul(live(() => 1 - group.lr * weightDecay)) : p;
    const g = this.decoupled ? gradient : gradient.add(p.mul(weightDecay));
    m.copy_(m.mul(betas[0]).add(g.mul(1 - betas[0])));
    v.copy_(v.mul(betas[1]).add(g.square().mul(1 - betas[1])));
    largest.copy_(largest.maximum(v));
    const root = largest
      .sqrt()
      .mul(live(() => 1 / Math.sqrt(1 - betas[1] ** step())))
      .add(eps);
    p.copy_(decayed.sub(m.div(root).mul(live(() => group.lr / (1 - betas[0] ** step())))));
  }
}

/** Runs of neighbours in a list of ascending numbers. */
function runs(indexes: readonly number[]): { first: number; count: number }[] {
  const out: { first: number; count: number }[] = [];
  for (const index of indexes) {
    const last = out.at(-1);
    if (last && last.first + last.count === index) last.count++;
    else out.push({ first: index, count: 1 });
  }
  return out;
}

const DEFAULTS: AdamOptions = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, amsgrad: false };

/** Adam. Source: Kingma & Ba 2015; `torch.optim.Adam`. */
export class Adam extends AdamBase {
  protected override readonly decoupled = false;

  constructor(
    params: Iterable<Tensor> | Iterable<ParamGroup<AdamOptions>>,
    options: Partial<AdamOptions> = {},
  ) {
    super(params, { ...DEFAULTS, ...options });
  }
}

/** Adam with decoupled weight decay. Source: Loshchilov & Hutter 2019; `torch.optim.AdamW`. */
export class AdamW extends AdamBase {
  protected override readonly decoupled = true;

  constructor(
    params: Iterable<Tensor> | Iterable<ParamGroup<AdamOptions>>,
    options: Partial<AdamOptions> = {},
  ) {
    super(params, { ...DEFAULTS, weightDecay: 0.01, ...options });
  }
}
