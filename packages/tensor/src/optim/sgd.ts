import type { Tensor } from "../tensor.js";
import { Optimizer, type ParamGroup } from "./optimizer.js";

/** Options of `SGD`, with PyTorch's names and defaults. */
export interface SGDOptions {
  /** Learning rate. Default 1e-3. */
  lr: number;
  /** Default 0. */
  momentum: number;
  /** Default 0. */
  dampening: number;
  /** Added to the gradient times the parameter. Default 0. */
  weightDecay: number;
  /** Default false. */
  nesterov: boolean;
}

/** Stochastic gradient descent with momentum. Source: `torch.optim.SGD`. */
export class SGD extends Optimizer<SGDOptions> {
  constructor(
    params: Iterable<Tensor> | Iterable<ParamGroup<SGDOptions>>,
    options: Partial<SGDOptions> = {},
  ) {
    super(params, { lr: 1e-3, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false, ...options });
  }

  protected override update(params: readonly Tensor[], group: SGDOptions): void {
    const { lr, momentum, dampening, weightDecay, nesterov } = group;
    for (const p of params) {
      const gradient = weightDecay === 0 ? p.grad! : p.grad!.add(p.mul(weightDecay));
      let direction = gradient;
      if (momentum !== 0) {
        const first = this.countStep(p) === 1;
        const buffer = this.stateTensor(p, "momentum_buffer");
        buffer.copy_(first ? gradient : buffer.mul(momentum).add(gradient.mul(1 - dampening)));
        direction = nesterov ? gradient.add(buffer.mul(momentum)) : buffer;
      }
      p.copy_(p.sub(direction.mul(lr)));
    }
  }
}
