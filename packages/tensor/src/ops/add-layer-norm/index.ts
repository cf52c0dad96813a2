import { expectDtype } from "../../dtype.js";
import { ShapeError } from "../../errors.js";
import { formatShape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { callLayerNorm } from "../layer-norm/index.js";

/**
 * layerNorm(x + residual) over the last dimension in one dispatch: what stands behind every attention and every
 * feed-forward block of a post-norm transformer.
 * @param x `[..., length]`, f32 or f16
 * @param residual the shape and type of `x`
 * @param weight `[length]` or null
 * @param bias `[length]` or null
 * @param eps added to the variance
 * @returns the normalised sum, in the shape and type of `x`
 *
 * Backward keeps the sum, not its terms; x and residual get the same gradient.
 * @throws ShapeError if the shapes differ; DtypeError if the types do
 */
export function addLayerNorm(
  x: Tensor,
  residual: Tensor,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  eps = 1e-5,
): Tensor {
  if (formatShape(x.shape) !== formatShape(residual.shape)) {
    throw new ShapeError(
      `add_layer_norm: x ${formatShape(x.shape)} and residual ${formatShape(residual.shape)} must have one shape. ` +
        "Expand the smaller one, or use x.add(residual) and layerNorm.",
    );
  }
  expectDtype("add_layer_norm", "the residual", residual.dtype, [x.dtype]);
  return callLayerNorm("add_layer_norm", x, residual, x.shape.slice(-1), weight, bias, eps);
}
