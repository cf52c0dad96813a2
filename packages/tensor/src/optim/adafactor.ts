import type { Tensor } from "../tensor.js";
import { liveScalar } from "./live-scalar.js";
import { Optimizer, type ParamGroup, type Ready } from "./optimizer.js";

/** Options of `Adafactor`, with the names and defaults of `transformers.optimization.Adafactor`. */
export interface AdafactorOptions {
  /** Learning rate; null with `relativeStep`. */
  lr: number | null;
  /** Regularisation of the squared gradient and of the parameter's scale. Default [1e-30, 1e-3]. */
  eps: readonly [number, number];
  /** Largest root mean square of an update. Default 1. */
  clipThreshold: number;
  /** Exponent of the decay of the second moment. Default -0.8. */
  decayRate: number;
  /** Decay of a first moment; null for none. */
  beta1: number | null;
  weightDecay: number;
  /** Scale the rate by the root mean square of the parameter. Default true. */
  scaleParameter: boolean;
  /** Rate from the step number in place of `lr`. Default true. */
  relativeStep: boolean;
  /** With `relativeStep`: start at 1e-6. Default false. */
  warmupInit: boolean;
}

const rootMeanSquare = (x: Tensor) => x.square().mean().sqrt();

/** Adam with factored second moments. Source: Shazeer & Stern 2018; `transformers.optimization.Adafactor`. */
export class Adafactor extends Optimizer<AdafactorOptions> {
  constructor(
    params: Iterable<Tensor> | Iterable<ParamGroup<AdafactorOptions>>,
    options: Partial<AdafactorOptions> = {},
  ) {
    super(params, {
      lr: null,
      eps: [1e-30, 1e-3],
      clipThreshold: 1,
      decayRate: -0.8,
      beta1: null,
      weightDecay: 0,
      scaleParameter: true,
      relativeStep: true,
      warmupInit: false,
      ...options,
    });
  }

  protected override updateOne({ parameter: p, gradient, group }: Ready<AdafactorOptions>): void {
    const step = this.countStep(p);
    const live = (read: () => number) => liveScalar(p.device, read);
    // 1 - beta2, and beta2.
    const fresh = () => step() ** group.decayRate;
    const [taken, kept] = [live(fresh), live(() => 1 - fresh())];
    const squared = gradient.square().add(group.eps[0]);
    const decayInto = (state: Tensor, value: Tensor) => state.copy_(state.mul(kept).add(value.mul(taken)));
    let update: Tensor;
    if (p.rank >= 2) {
      const row = this.stateTensor(p, "exp_avg_sq_row", p.shape.slice(0, -1));
      const column = this.stateTensor(p, "exp_avg_sq_col", [...p.shape.slice(0, -2), p.shape.at(-1)!]);
      decayInto(row, squared.mean(-1));
      decayInto(column, squared.mean(-2));
      const byRow = row.div(row.mean(-1, true)).rsqrt().unsqueeze(-1);
      update = byRow.mul(column.rsqrt().unsqueeze(-2)).mul(gradient);
    } else {
      const second = this.stateTensor(p, "exp_avg_sq");
      decayInto(second, squared);
      update = second.rsqrt().mul(gradient);
    }
    update = update.div(
      rootMeanSquare(update)
        .mul(1 / group.clipThreshold)
        .maximum(1),
    );
    const rate = () => {
      if (!group.relativeStep) return group.lr ?? 0;
      return Math.min(group.warmupInit ? 1e-6 * step() : 1e-2, 1 / Math.sqrt(step()));
    };
    const scaled = (x: Tensor, by: Tensor) =>
      group.scaleParameter ? x.mul(rootMeanSquare(p).maximum(group.eps[1])).mul(by) : x.mul(by);
    update = scaled(update, live(rate));
    if (group.beta1 !== null) {
      const first = this.stateTensor(p, "exp_avg");
      first.copy_(first.mul(group.beta1).add(update.mul(1 - group.beta1)));
      update = first;
    }
    const decay =
      group.weightDecay === 0
        ? p
        : p.sub(
            scaled(
              p,
              live(() => rate() * group.weightDecay),
            ),
          );
    p.copy_(decay.sub(update));
  }
}
