import { type AdamSlot, adamStep } from "../ops/adam/index.js";
import type { Tensor } from "../tensor.js";
import { Optimizer, type ParamGroup } from "./optimizer.js";

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

abstract class AdamBase extends Optimizer<AdamOptions> {
  protected abstract readonly decoupled: boolean;

  protected override update(params: readonly Tensor[], group: AdamOptions): void {
    const bySteps = new Map<number, AdamSlot[]>();
    for (const parameter of params) {
      const step = this.countStep(parameter);
      if (group.amsgrad) {
        this.#amsgradStep(parameter, step, group);
        continue;
      }
      const slot: AdamSlot = {
        parameter,
        gradient: parameter.grad!,
        expAvg: this.stateTensor(parameter, "exp_avg"),
        expAvgSq: this.stateTensor(parameter, "exp_avg_sq"),
      };
      bySteps.set(step, [...(bySteps.get(step) ?? []), slot]);
    }
    for (const [step, slots] of bySteps) adamStep(slots, { ...group, step, decoupled: this.decoupled });
  }

  /** The rarely used AMSGrad (Reddi et al. 2018), composed from tensor operations. */
  #amsgradStep(p: Tensor, step: number, { lr, betas, eps, weightDecay }: AdamOptions): void {
    const m = this.stateTensor(p, "exp_avg");
    const v = this.stateTensor(p, "exp_avg_sq");
    const largest = this.stateTensor(p, "max_exp_avg_sq");
    const decayed = this.decoupled ? p.mul(1 - lr * weightDecay) : p;
    const g = this.decoupled ? p.grad! : p.grad!.add(p.mul(weightDecay));
    m.copy_(m.mul(betas[0]).add(g.mul(1 - betas[0])));
    v.copy_(v.mul(betas[1]).add(g.square().mul(1 - betas[1])));
    largest.copy_(largest.maximum(v));
    const root = largest
      .sqrt()
      .mul(1 / Math.sqrt(1 - betas[1] ** step))
      .add(eps);
    p.copy_(decayed.sub(m.div(root).mul(lr / (1 - betas[0] ** step))));
  }
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
