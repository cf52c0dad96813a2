import { lowered } from "../../autograd/autocast.js";
import { defineOp } from "../../autograd/define-op.js";
import { ValueError } from "../../errors.js";
import type { Tensor } from "../../tensor.js";
import { checkActivation, checkLinear, matrixOf, parameterGradients, project, wantedType } from "./linear.js";
import { type Activation, product } from "./product.js";

/** Inputs: x, the two weights, then the two biases unless there are none. */
const feedForwardOp = defineOp<Activation>({
  name: "feed_forward",
  forward(ctx, [x, weight1, weight2, bias1, bias2], activation) {
    const keepBefore = ctx.needsInputGrad.some(Boolean);
    const hidden = project(x!, weight1!, { bias: bias1, activation, keepBefore });
    const [, ofWeight1, ofWeight2] = ctx.needsInputGrad;
    // What only gradients of weights need is not kept for frozen ones: the hidden values are the largest array of a layer.
    if (hidden.before) {
      const inputs = [...(ofWeight1 ? [x!] : []), ...(ofWeight2 ? [hidden.y] : [])];
      ctx.saveForBackward(weight1!, weight2!, hidden.before, ...inputs);
    }
    return project(hidden.y, weight2!, { bias: bias2 }).y;
  },
  backward(ctx, [gradient]) {
    const [ofX, ofWeight1, ofWeight2, ofBias1] = ctx.needsInputGrad;
    const [weight1, weight2, before, ...inputs] = ctx.savedTensors as [Tensor, Tensor, Tensor, ...Tensor[]];
    const x = ofWeight1 ? matrixOf(inputs.shift()!) : undefined;
    const hidden = ofWeight2 ? matrixOf(inputs.shift()!) : undefined;
    const dy = matrixOf(gradient!);
    const second = parameterGradients(dy, hidden, {
      weight: wantedType(ctx, 2),
      bias: wantedType(ctx, 4),
    });
    let dx: Tensor | null = null;
    let first: ReturnType<typeof parameterGradients> = { weight: null, bias: null };
    if (ofX || ofWeight1 || ofBias1) {
      // The gradient before the activation comes out of the product itself: no dispatch, no array between.
      const dh = product(dy, weight2, {
        slope: { activation: ctx.attributes, at: matrixOf(before) },
        dtype: before.dtype,
      });
      first = parameterGradients(dh, x, { weight: wantedType(ctx, 1), bias: wantedType(ctx, 3) });
      if (ofX) {
        const [shape, dtype] = [ctx.inputShapes[0]!, ctx.inputDtypes[0]!];
        dx = product(dh, weight1, { shape, dtype, addend: ctx.takeAddend(0) });
      }
    }
    return [dx, first.weight, second.weight, first.bias, second.bias].slice(0, ctx.inputShapes.length);
  },
});

/**
 * The feed-forward part of a transformer layer: `activation(x W₁ᵀ + b₁) W₂ᵀ + b₂`. The same as
 * `linear(linearActivation(x, w1, b1, activation), w2, b2)` in as many dispatches, but in backward the derivative of the activation
 * is applied where the gradient of the hidden values is made, which saves a pass over them.
 * Letters: I width, H hidden width.
 * @param x `[…, I]`
 * @param weight1 `[H, I]`
 * @param bias1 `[H]`, or null for neither bias
 * @param weight2 `[I', H]`
 * @param bias2 `[I']`
 * @param activation `gelu` (the exact one, by erf), `quick_gelu` or `relu`
 * @returns `[…, I']` in the type of x. Each gradient has the type of its tensor.
 * @throws ShapeError as `linear`; ValueError for another activation
 */
export function feedForward(
  x: Tensor,
  weight1: Tensor,
  bias1: Tensor | null,
  weight2: Tensor,
  bias2: Tensor | null,
  activation: Activation,
): Tensor {
  checkActivation("feedForward", activation);
  checkLinear("feedForward", x, weight1, bias1);
  if ((bias1 === null) !== (bias2 === null)) {
    throw new ValueError("feedForward: needs both biases or neither; put zeros in the place of one.");
  }
  // The hidden values have the sizes of x but for the last: only that one matters here.
  checkLinear("feedForward", { dtype: x.dtype, rank: 1, shape: [weight1.shape[0]!] }, weight2, bias2);
  const input = lowered(x);
  return feedForwardOp(
    bias1 && bias2 ? [input, weight1, weight2, bias1, bias2] : [input, weight1, weight2],
    activation,
  );
}
