import { noGrad, scope } from "../autograd/modes.js";
import { ValueError } from "../errors.js";
import { scaleInPlace, sumOfSquares } from "../ops/grad-norm/index.js";
import type { Tensor } from "../tensor.js";

/**
 * Scales all gradients so that their joint norm is at most `maxNorm`, on the device, and returns the norm before, a 0-d
 * tensor. As `torch.nn.utils.clip_grad_norm_`: the factor is min(1, maxNorm / (norm + 1e-6)).
 * @param normType 2 (default), 1, or Infinity
 * @throws ValueError if no parameter has a gradient
 */
export function clipGradNorm_(parameters: Iterable<Tensor>, maxNorm: number, normType = 2): Tensor {
  const gradients = [...parameters].flatMap((p) => (p.grad ? [p.grad] : []));
  if (gradients.length === 0)
    throw new ValueError("clipGradNorm: no parameter has a gradient. Call backward() first.");
  return noGrad(() =>
    scope(() => {
      const norm = totalNorm(gradients, normType);
      scaleInPlace(gradients, norm.add(1e-6).pow(-1).mul(maxNorm).minimum(1));
      return norm;
    }),
  );
}

function totalNorm(gradients: readonly Tensor[], normType: number): Tensor {
  if (normType === 2) return sumOfSquares(gradients).sqrt();
  if (normType === 1) return gradients.map((g) => g.abs().sum()).reduce((a, b) => a.add(b));
  if (normType === Number.POSITIVE_INFINITY)
    return gradients.map((g) => g.abs().max()).reduce((a, b) => a.maximum(b));
  throw new ValueError(`clipGradNorm: norm type ${normType} is not 1, 2 or Infinity.`);
}
