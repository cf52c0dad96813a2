import { defineOp } from "../../autograd/define-op.js";
import { expectDtype, isFloating } from "../../dtype.js";
import { DtypeError, ShapeError } from "../../errors.js";
import { broadcastShapes, formatShape, type Shape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { sum, sumTo } from "../sum/index.js";
import { foldRows, isSingleMatrix, product, productAndRowSums } from "./product.js";

export { variants as matmulVariants } from "./variants.js";

const swap = (x: Tensor) => x.transpose(-1, -2);

/**
 * The product with its elements in the order in which those of `operand` lie: the gradient of a transposed view is then
 * without gaps for the tensor behind the view.
 */
function productLike(operand: Tensor, a: Tensor, b: Tensor, shape?: Shape): Tensor {
  const [row, column] = operand.strides.slice(-2) as [number, number];
  if (row !== 1 || column === 1) return product(a, b, null, shape);
  const swapped = shape && [...shape.slice(0, -2), shape[shape.length - 1]!, shape[shape.length - 2]!];
  return swap(product(swap(b), swap(a), null, swapped));
}

const matmulOp = defineOp<undefined>({
  name: "matmul",
  forward(ctx, [a, b]) {
    ctx.saveForBackward(a!, b!);
    return product(a!, b!);
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

function checkOperands(op: string, a: Tensor, b: Tensor): void {
  expectDtype(op, "a", a.dtype, ["f32", "f16"]);
  if (a.dtype !== b.dtype) {
    const way = isFloating(b.dtype) ? `b.to("${a.dtype}")` : `.to("${a.dtype}")`;
    throw new DtypeError(
      `${op}: a is ${a.dtype}, b is ${b.dtype}; both must have the same type. Convert one: ${way}.`,
    );
  }
}

/**
 * Matrix product with the meaning of `torch.matmul`.
 * Letters: M rows, K inner size, N columns, … any leading dimensions.
 * @param a `[…, M, K]`, or `[K]` for one row
 * @param b `[…, K, N]`, or `[K]` for one column. Leading dimensions of a and b are broadcast.
 * @returns `[…, M, N]`, without M where `a` is 1-d and without N where `b` is 1-d: two vectors give a 0-d tensor
 *
 * Both operands may be views: transposed, sliced and expanded ones are read where they lie. f32 or f16, both the same;
 * sums are taken in f32. Gradients: dA = dY · Bᵀ and dB = Aᵀ · dY, summed over what was broadcast.
 * Error: see `cases.ts`. Ladder of kernels: `variants.ts`.
 * @throws ShapeError if the inner sizes differ or the leading dimensions do not broadcast
 * @throws DtypeError for other element types or two different ones
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  checkOperands("matmul", a, b);
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

const linearOp = defineOp<undefined>({
  name: "linear",
  forward(ctx, [x, weight, bias]) {
    ctx.saveForBackward(x!, weight!);
    const rows = foldRows(x!) ?? foldRows(x!.contiguous())!;
    return product(rows, swap(weight!), bias ?? null, [...x!.shape.slice(0, -1), weight!.shape[0]!]);
  },
  backward(ctx, [dy]) {
    const [x, weight] = ctx.savedTensors as [Tensor, Tensor];
    const gradients = foldRows(dy!) ?? foldRows(dy!.contiguous())!;
    const rows = () => foldRows(x) ?? foldRows(x.contiguous())!;
    const [ofX, ofWeight, ofBias] = ctx.needsInputGrad;
    const both =
      ofWeight && ofBias
        ? productAndRowSums(swap(gradients), rows())
        : { y: ofWeight ? product(swap(gradients), rows()) : null, rowSums: null };
    return [
      ofX ? product(gradients, weight, null, x.shape) : null,
      both.y,
      ...(ofBias === undefined ? [] : [ofBias ? (both.rowSums ?? sum(gradients, 0)) : null]),
    ];
  },
});

/**
 * `x Wᵀ + bias`, as `torch.nn.functional.linear`; the bias is added in the product's own kernel.
 * @param x `[…, in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 * @returns `[…, out]`
 * @throws ShapeError naming the sizes that differ
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  checkOperands("linear", x, weight);
  if (bias) checkOperands("linear", x, bias);
  const bad = (what: string) =>
    new ShapeError(
      `linear: ${what}; x is ${formatShape(x.shape)}, weight ${formatShape(weight.shape)} must be [out, in].`,
    );
  if (weight.rank !== 2) throw bad(`weight has ${weight.rank} dimensions instead of 2`);
  if (x.rank === 0) throw bad("x has no dimension");
  const inner = x.shape[x.rank - 1]!;
  if (inner !== weight.shape[1]) {
    const hint = inner === weight.shape[0] ? ". It looks transposed: pass weight.transpose(0, 1)" : "";
    throw bad(`the last size of x is not that of weight (${inner} ≠ ${weight.shape[1]})${hint}`);
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== weight.shape[0])) {
    throw bad(`bias ${formatShape(bias.shape)} must be [${weight.shape[0]}]`);
  }
  return linearOp(bias ? [x, weight, bias] : [x, weight], undefined);
}
