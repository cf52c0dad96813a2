import { defineOp } from "../../autograd/define-op.js";
import { expectDtype } from "../../dtype.js";
import { ShapeError } from "../../errors.js";
import { formatShape, numel, type Shape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { affineGradients, type BranchDropout, inputGradient, normalise } from "./normalise.js";

interface LayerNormAttributes {
  /** Elements of a row. */
  readonly length: number;
  readonly eps: number;
  /** Whether x is followed by these among the inputs. */
  readonly residual: boolean;
  readonly weight: boolean;
  readonly bias: boolean;
  /** Of x, before it is added to the residual. */
  readonly dropout: BranchDropout | null;
}

const layerNormOp = defineOp<LayerNormAttributes>({
  name: "layer_norm",
  forward(ctx, inputs, { length, eps, dropout, ...has }) {
    const rest = inputs.map((input) => input.contiguous());
    const x = rest.shift()!;
    const residual = has.residual ? rest.shift()! : null;
    const weight = has.weight ? rest.shift()! : null;
    const bias = has.bias ? rest.shift()! : null;
    const { y, stats, h } = normalise(
      { x, residual, weight, bias, dropout },
      length,
      eps,
      ctx.needsInputGrad.some(Boolean),
    );
    ctx.saveForBackward(h, stats, ...(weight ? [weight] : []));
    return y;
  },
  backward(ctx, gradients) {
    const [h, stats, weight] = ctx.savedTensors as [Tensor, Tensor, Tensor | undefined];
    const { length, dropout, ...has } = ctx.attributes;
    const dy = gradients[0]!.contiguous();
    const needs = [...ctx.needsInputGrad];
    const shapes = [...ctx.inputShapes];
    const dtypes = [...ctx.inputDtypes];
    const wanted = has.residual ? needs[0]! || needs[1]! : needs[0]!;
    const kept = { h, dy, stats, weight: weight ?? null };
    // In a pre-norm block x goes on beside the norm: the gradient that comes from there needs no sum of its own.
    const added = has.residual || !wanted ? null : (ctx.takeAddend(0)?.contiguous() ?? null);
    const found = wanted ? inputGradient(kept, length, has.residual, dropout, added) : null;
    const inner = has.residual ? [found?.dx ?? null, found?.dresidual ?? null] : [found?.dx ?? null];
    const first = inner.length;
    if (!needs.slice(first).some(Boolean)) return inner;
    const affine = affineGradients(kept, length, shapes[first]!, dtypes[first]!);
    return [...inner, ...(has.weight ? [affine.weight] : []), ...(has.bias ? [affine.bias] : [])];
  },
});

/** Checks the operands, and calls the op with those that are there. */
export function callLayerNorm(
  name: string,
  x: Tensor,
  residual: Tensor | null,
  normalizedShape: Shape,
  weight: Tensor | null,
  bias: Tensor | null,
  eps: number,
  dropout: BranchDropout | null = null,
): Tensor {
  expectDtype(name, "x", x.dtype, ["f32", "f16"]);
  const tail = x.shape.slice(x.rank - normalizedShape.length);
  if (
    normalizedShape.length === 0 ||
    formatShape(tail) !== formatShape(normalizedShape) ||
    x.rank < tail.length
  ) {
    throw new ShapeError(
      `${name}: x ${formatShape(x.shape)} does not end in the normalized shape ${formatShape(normalizedShape)}.`,
    );
  }
  for (const [argument, tensor] of Object.entries({ weight, bias })) {
    if (!tensor) continue;
    expectDtype(name, `the ${argument}`, tensor.dtype, weight ? [weight.dtype] : ["f32", "f16"]);
    if (formatShape(tensor.shape) !== formatShape(normalizedShape)) {
      throw new ShapeError(
        `${name}: ${argument} ${formatShape(tensor.shape)} must have the normalized shape ${formatShape(normalizedShape)}.`,
      );
    }
  }
  if (weight) expectDtype(name, "the weight", weight.dtype, ["f32", "f16"]);
  const inputs = [x, residual, weight, bias].filter((tensor) => tensor !== null);
  return layerNormOp(inputs, {
    length: numel(normalizedShape),
    eps,
    residual: residual !== null,
    weight: weight !== null,
    bias: bias !== null,
    dropout,
  });
}

/**
 * Layer normalisation over the last dimensions, as `torch.nn.functional.layer_norm`:
 * y = (x - mean) / sqrt(variance + eps) * weight + bias, with the biased variance. Computed in f32 whatever the type.
 * @param x `[..., *normalizedShape]`, f32 or f16
 * @param normalizedShape the last dimensions, such as `[768]`
 * @param weight `normalizedShape` or null, f32 or f16
 * @param bias `normalizedShape` or null, of the weight's type
 * @param eps added to the variance
 * @returns the shape and type of `x`
 *
 * Backward keeps x and two numbers a row (mean, 1 / sqrt(variance + eps)). Gradients of weight and bias are summed in a
 * fixed order, so that they are the same in every run. Error: see `cases.ts`. Kernels: `ladder.ts`.
 * Source: Ba, Kiros, Hinton 2016.
 * @throws ShapeError if x does not end in `normalizedShape`, or weight or bias do not have it
 * @throws DtypeError for integers and bool
 */
export function layerNorm(
  x: Tensor,
  normalizedShape: Shape,
  weight: Tensor | null = null,
  bias: Tensor | null = null,
  eps = 1e-5,
): Tensor {
  return callLayerNorm("layer_norm", x, null, normalizedShape, weight, bias, eps);
}
