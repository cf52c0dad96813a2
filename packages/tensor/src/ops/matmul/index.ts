import { defineOp } from "../../autograd/define-op.js";
import { type Dtype, expectDtype, promoteTypes } from "../../dtype.js";
import { ShapeError } from "../../errors.js";
import { broadcastShapes, formatShape, type Shape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { sumTo } from "../sum/index.js";
import { foldRows, isSingleMatrix, product } from "./product.js";

export { feedForward } from "./feed-forward.js";
export { linear, linearActivation, linears } from "./linear.js";
export type { Activation } from "./product.js";

const swap = (x: Tensor) => x.transpose(-1, -2);

/**
 * The product with its elements in the order in which those of `operand` lie: the gradient of a transposed view is then
 * without gaps for the tensor behind the view.
 */
function productLike(operand: Tensor, a: Tensor, b: Tensor, shape?: Shape): Tensor {
  const [row, column] = operand.strides.slice(-2) as [number, number];
  const dtype: Dtype = operand.dtype;
  if (row !== 1 || column === 1) return product(a, b, { shape, dtype });
  const swapped = shape && [...shape.slice(0, -2), shape[shape.length - 1]!, shape[shape.length - 2]!];
  return swap(product(swap(b), swap(a), { shape: swapped, dtype }));
}

const matmulOp = defineOp<undefined>({
  name: "matmul",
  forward(ctx, [a, b]) {
    ctx.saveForBackward(a!, b!);
    return product(a!, b!, { dtype: promoteTypes(a!.dtype, b!.dtype) });
  },
  backward(ctx, [dy]) {
    const [a, b] = ctx.savedTensors as [Tensor, Tensor];
    const ofA = () => sumTo(productLike(a, dy!, swap(b)), a.shape);
    const ofB = () => {
      // One matrix b under a batch of a: the sum over the batch is part of one long product.
      const rows = isSingleMatrix(b) ? foldRows(a) : null;
      const gradients = rows && foldRows(dy!);
      if (rows && gradients && rows.shape[0] === gradients.shape[0]) {
        return productLike(b, swap(rows), gradients, b.shape);
      }
      return sumTo(productLike(b, swap(a), dy!), b.shape);
    };
    return [ctx.needsInputGrad[0] ? ofA() : null, ctx.needsInputGrad[1] ? ofB() : null];
  },
});

/**
 * Matrix product with the meaning of `torch.matmul`.
 * Letters: M rows, K inner size, N columns, … any leading dimensions.
 * @param a `[…, M, K]`, or `[K]` for one row
 * @param b `[…, K, N]`, or `[K]` for one column. Leading dimensions of a and b are broadcast.
 * @returns `[…, M, N]`, without M where `a` is 1-d and without N where `b` is 1-d: two vectors give a 0-d tensor
 *
 * Both operands may be views: transposed, sliced and expanded ones are read where they lie. Each is f32 or f16; the result is
 * f16 if both are, else f32, and sums are taken in f32. Gradients: dA = dY · Bᵀ and dB = Aᵀ · dY, summed over what was
 * broadcast, in the operands' own types. Error: see `cases.ts`. Ladder of kernels: `ladder.ts`.
 * @throws ShapeError if the inner sizes differ or the leading dimensions do not broadcast
 * @throws DtypeError for other element types
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  expectDtype("matmul", "a", a.dtype, ["f32", "f16"]);
  expectDtype("matmul", "b", b.dtype, ["f32", "f16"]);
  if (a.rank === 0 || b.rank === 0) {
    throw new ShapeError(
      `matmul: both operands need at least one dimension, got ${formatShape(a.shape)} × ${formatShape(b.shape)}. ` +
        "Multiply by a number with mul().",
    );
  }
  const inner = a.shape[a.rank - 1]!;
  const other = b.shape[b.rank === 1 ? 0 : b.rank - 2]!;
  if (inner !== other) {
    const hint =
      b.rank > 1 && b.shape[b.rank - 1] === inner
        ? "Did you mean b.transpose(-1, -2)? For a weight [out, in] there is linear(x, weight)."
        : a.rank > 1 && a.shape[a.rank - 2] === other
          ? "Did you mean a.transpose(-1, -2)?"
          : "The last size of a must equal the last but one of b.";
    throw new ShapeError(
      `matmul: inner dimensions differ: ${formatShape(a.shape)} × ${formatShape(b.shape)} (${inner} ≠ ${other}). ${hint}`,
    );
  }
  broadcastShapes("matmul: leading dimensions", a.shape.slice(0, -2), b.shape.slice(0, -2));
  let y = matmulOp([a.rank === 1 ? a.unsqueeze(0) : a, b.rank === 1 ? b.unsqueeze(1) : b], undefined);
  if (b.rank === 1) y = y.squeeze(-1);
  if (a.rank === 1) y = y.squeeze(b.rank === 1 ? -1 : -2);
  return y;
}

/**
 * Batched matrix product as `torch.bmm`: `[B, M, K]` × `[B, K, N]` → `[B, M, N]`, without broadcasting.
 * @throws ShapeError if an operand has not three dimensions or the batches differ
 */
export function bmm(a: Tensor, b: Tensor): Tensor {
  if (a.rank !== 3 || b.rank !== 3 || a.shape[0] !== b.shape[0]) {
    throw new ShapeError(
      `bmm: needs [B, M, K] and [B, K, N] with the same B, got ${formatShape(a.shape)} and ${formatShape(b.shape)}. ` +
        "matmul() broadcasts leading dimensions.",
    );
  }
  return matmul(a, b);
}
