import { expectDtype } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { defaultGenerator, type Generator } from "../../random/generator.js";
import { formatShape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { callLayerNorm } from "../layer-norm/index.js";

/** Dropout inside of `addLayerNorm`. */
export interface AddLayerNormOptions {
  /** Probability that an element of x becomes 0 before the residual is added; the others are multiplied by 1 / (1 - p). Default 0. */
  readonly dropoutP?: number;
  /** Default true; false leaves `dropoutP` without effect. */
  readonly training?: boolean;
  /** Default: the device's, see `manualSeed`. */
  readonly generator?: Generator;
}

/**
 * layerNorm(dropout(x) + residual) over the last dimension in one dispatch: what stands behind every attention and every
 * feed-forward block of a post-norm transformer. The same numbers, to the last bit of the mask, as
 * `layerNorm(dropout(x, p).add(residual))` from the same state of the generator.
 * @param x `[..., length]`, f32 or f16
 * @param residual the shape and type of `x`
 * @param weight `[length]` or null, f32 or f16
 * @param bias `[length]` or null, of the weight's type
 * @param eps added to the variance
 * @returns the normalised sum, in the shape and type of `x`
 *
 * Backward keeps the sum, not its terms, and draws the same numbers again. x and residual get their gradients from one
 * dispatch (without dropout it is one gradient), weight and bias from another.
 * @throws ShapeError if the shapes differ; DtypeError if the types do; ValueError if `dropoutP` is not a probability
 */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  eps = 1e-5,
  options: AddLayerNormOptions = {},
): Tensor {
  if (formatShape(x.shape) !== formatShape(residual.shape)) {
    throw new ShapeError(
      `add_layer_norm: x ${formatShape(x.shape)} and residual ${formatShape(residual.shape)} must have one shape. ` +
        "Expand the smaller one, or use x.add(residual) and layerNorm.",
    );
  }
  expectDtype("add_layer_norm", "the residual", residual.dtype, [x.dtype]);
  const { dropoutP: p = 0, training = true, generator } = options;
  if (!(p >= 0 && p <= 1)) {
    throw new ValueError(`add_layer_norm: dropoutP is ${p}; a probability between 0 and 1 is needed.`);
  }
  const drops = training && p > 0;
  const source = generator ?? defaultGenerator(x.device);
  const dropout = drops ? { p, range: source.next(Math.ceil(x.numel / 4)) } : null;
  return callLayerNorm("add_layer_norm", x, residual, x.shape.slice(-1), weight, bias, eps, dropout);
}
