import { defineOp } from "../../autograd/define-op.js";
import { DtypeError, ShapeError, ValueError } from "../../errors.js";
import { contiguousStrides, formatShape, normalizeDim } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { narrow, unsqueeze, writeStrided } from "../views/index.js";

const catOp = defineOp<{ dim: number }>({
  name: "cat",
  forward(_ctx, inputs, { dim }) {
    const first = inputs[0]!;
    const shape = [...first.shape];
    shape[dim] = inputs.reduce((total, x) => total + x.shape[dim]!, 0);
    const y = Tensor.empty(first.device, shape, first.dtype);
    const strides = contiguousStrides(shape);
    let offset = 0;
    for (const x of inputs) {
      writeStrided(x, y, strides, offset);
      offset += x.shape[dim]! * strides[dim]!;
    }
    return y;
  },
  // Each input's gradient is the part of dy that it filled: a view, no copy.
  backward(ctx, [dy]) {
    const { dim } = ctx.attributes;
    let start = 0;
    return ctx.inputShapes.map((shape, i) => {
      const length = shape[dim]!;
      const part = ctx.needsInputGrad[i] ? narrow(dy!, dim, start, length) : null;
      start += length;
      return part;
    });
  },
});

/**
 * Tensors one after the other along `dim`, as `torch.cat`. All other sizes and the dtypes must be equal.
 * @throws ShapeError, DtypeError naming the operand that does not fit
 */
export function cat(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = tensors[0];
  if (!first) throw new ValueError("cat: needs at least one tensor.");
  if (first.rank === 0) throw new ShapeError("cat: 0-d tensors have no dimension to join along; use stack.");
  const d = normalizeDim("cat", dim, first.rank);
  tensors.forEach((x, i) => {
    const fits = x.rank === first.rank && x.shape.every((size, k) => k === d || size === first.shape[k]);
    if (!fits) {
      throw new ShapeError(
        `cat: tensor ${i} is ${formatShape(x.shape)}, tensor 0 is ${formatShape(first.shape)}; ` +
          `they may differ in dimension ${d} only.`,
      );
    }
    if (x.dtype !== first.dtype) {
      throw new DtypeError(
        `cat: tensor ${i} is ${x.dtype}, tensor 0 is ${first.dtype}. Convert one with .to().`,
      );
    }
  });
  return catOp(tensors, { dim: d });
}

/**
 * Tensors of one shape side by side along a new dimension `dim`, as `torch.stack`.
 * @throws ShapeError if the shapes differ
 */
export function stack(tensors: readonly Tensor[], dim = 0): Tensor {
  const first = tensors[0];
  if (!first) throw new ValueError("stack: needs at least one tensor.");
  tensors.forEach((x, i) => {
    if (formatShape(x.shape) !== formatShape(first.shape)) {
      throw new ShapeError(
        `stack: tensor ${i} is ${formatShape(x.shape)}, tensor 0 is ${formatShape(first.shape)}.`,
      );
    }
  });
  const d = normalizeDim("stack", dim, first.rank + 1);
  return cat(
    tensors.map((x) => unsqueeze(x, d)),
    d,
  );
}

const splitOp = defineOp<{ sizes: readonly number[]; dim: number }, Tensor[]>({
  name: "split",
  forward(_ctx, [x], { sizes, dim }) {
    let start = 0;
    return sizes.map((size) => {
      start += size;
      return narrow(x!, dim, start - size, size);
    });
  },
  backward(ctx, gradients) {
    const { sizes, dim } = ctx.attributes;
    const shape = ctx.inputShapes[0]!;
    const parts = gradients.map((dy, i) => {
      const part = shape.map((size, d) => (d === dim ? sizes[i]! : size));
      return dy ?? Tensor.zeros(ctx.device, part, ctx.inputDtypes[0]!);
    });
    return [cat(parts, dim)];
  },
});

/**
 * Parts along `dim`, as `torch.split`: views, no copy.
 * @param sizeOrSections length of each part (the last may be shorter), or a list of lengths that add up to the dimension
 * @throws ValueError if they do not
 */
export function split(x: Tensor, sizeOrSections: number | readonly number[], dim = 0): Tensor[] {
  if (x.rank === 0) throw new ShapeError("split: a 0-d tensor has no dimension to split.");
  const d = normalizeDim("split", dim, x.rank);
  const length = x.shape[d]!;
  let sizes: number[];
  if (typeof sizeOrSections === "number") {
    const size = sizeOrSections;
    if (!Number.isInteger(size) || size < 1)
      throw new ValueError(`split: a part of ${size} entries is no part.`);
    const count = Math.max(1, Math.ceil(length / size));
    sizes = Array.from({ length: count }, (_, i) => Math.min(size, length - i * size));
  } else {
    sizes = [...sizeOrSections];
    const total = sizes.reduce((sum, size) => sum + size, 0);
    if (sizes.length === 0 || sizes.some((size) => !Number.isInteger(size) || size < 0) || total !== length) {
      throw new ValueError(
        `split: sections [${sizes.join(", ")}] add up to ${total}, dimension ${d} of ${formatShape(x.shape)} has ${length}.`,
      );
    }
  }
  return splitOp([x], { sizes, dim: d });
}
