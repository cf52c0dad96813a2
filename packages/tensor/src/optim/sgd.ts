import type { Tensor } from "../tensor.js";
import { liveScalar } from "./live-scalar.js";
import { Optimizer, type ParamGroup, type Ready } from "./optimizer.js";

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

  protected override updateOne({ parameter: p, gradient: given, group }: Ready<SGDOptions>): void {
    const { momentum, dampening, weightDecay, nesterov } = group;
    const gradient = weightDecay === 0 ? given : given.add(p.mul(weightDecay));
    let direction = gradient;
    if (momentum !== 0) {
      const step = this.countStep(p);
      const buffer = this.stateTensor(p, "momentum_buffer");
      // The first gradient is taken whole: the buffer is 0 before it.
      const part =
        dampening === 0
          ? gradient
          : gradient.mul(liveScalar(p.device, () => (step() === 1 ? 1 : 1 - dampening)));
      buffer.copy_(buffer.mul(momentum).add(part));
      direction = nesterov ? gradient.add(buffer.mul(momentum)) : buffer;
    }
    p.copy_(p.sub(direction.mul(liveScalar(p.device, () => group.lr))));
  }
}
