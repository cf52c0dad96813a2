import { defineOp } from "../../autograd/define-op.js";
import { eight, f32, gridFor, type Kernel } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { DtypeError, ShapeError } from "../../errors.js";
import {
  contiguousStrides,
  formatShape,
  mergeDimensions,
  normalizeDim,
  numel,
  type Shape,
} from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { indexAdd } from "./chains.js";
import gatherSource from "./gather.wgsl";
import { selectRows } from "./rows.js";
import scatterAddSource from "./scatter-add.wgsl";

const gatherKernel: Kernel = { name: "indexing/gather", source: gatherSource };
const scatterAddKernel: Kernel = { name: "indexing/scatter-add", source: scatterAddSource };

function gatherValues(x: Tensor, dim: number, index: Tensor): Tensor {
  const numbers = index.contiguous();
  const y = Tensor.empty(x.device, index.shape, x.dtype);
  const strides = x.strides.map((step, d) => (d === dim ? 0 : step));
  const merged = mergeDimensions(index.shape, [contiguousStrides(index.shape), strides]);
  x.device.run(gatherKernel, {
    buffers: [x.storage.buffer, numbers.storage.buffer, y.storage.buffer],
    params: [
      y.numel,
      merged.shape.length,
      numbers.offset,
      x.offset,
      x.shape[dim] ?? 1,
      x.strides[dim] ?? 0,
      f32(Number.NaN),
      0,
      ...eight(merged.shape, 1),
      ...eight(merged.strides[1]!, 0),
    ],
    grid: gridFor(y.numel, 64),
    specialisation: { types: { T: x.dtype, I: numbers.dtype } },
  });
  return y;
}

/** Adds `src` to `y` (without gaps) at the places that `index` names, in place. */
function addAt(y: Tensor, dim: number, index: Tensor, src: Tensor): void {
  if (index.numel === 0) return;
  const numbers = index.contiguous();
  // src may be larger than index: what index does not reach is not used.
  const used = src.slice(index.shape.map((size) => [0, size] as const)).contiguous();
  const without = (list: readonly number[]) => list.filter((_, d) => d !== dim);
  const steps = contiguousStrides(index.shape);
  const others = without(index.shape);
  const merged = mergeDimensions(others, [without(steps), without(y.strides)]);
  const lines = numel(others);
  y.device.run(scatterAddKernel, {
    buffers: [numbers.storage.buffer, used.storage.buffer, y.storage.buffer],
    params: [
      lines,
      index.shape[dim] ?? 1,
      steps[dim] ?? 0,
      y.strides[dim] ?? 0,
      y.shape[dim] ?? 1,
      merged.shape.length,
      numbers.offset,
      used.offset,
      ...eight(merged.shape, 1),
      ...eight(merged.strides[0]!, 0),
      ...eight(merged.strides[1]!, 0),
    ],
    grid: gridFor(lines, 64),
    specialisation: { types: { T: y.dtype, I: numbers.dtype } },
  });
}

/** `base` (or zeros of `shape`) plus `src` at the places of `index`. f16 is added up in f32 and rounded once. */
function scattered(base: Tensor | null, shape: Shape, dim: number, index: Tensor, src: Tensor): Tensor {
  const dtype = src.dtype === "f16" ? "f32" : src.dtype;
  const y = base ? base.to(dtype).clone() : Tensor.zeros(src.device, shape, dtype);
  addAt(y, dim, index, src.to(dtype));
  return y.to(src.dtype);
}

const gatherOp = defineOp<{ dim: number }>({
  name: "gather",
  forward(ctx, [x, index], { dim }) {
    ctx.saveForBackward(index!);
    return gatherValues(x!, dim, index!);
  },
  // Every element of dy goes back to where its value came from; values taken twice add up.
  backward(ctx, [dy]) {
    return [scattered(null, ctx.inputShapes[0]!, ctx.attributes.dim, ctx.savedTensors[0]!, dy!), null];
  },
});

/** Checks what `gather` and `scatterAdd` ask of an index, and returns the dimension counted from the front. */
function checkIndex(op: string, x: Tensor, dim: number, index: Tensor): number {
  expectDtype(op, "the index", index.dtype, ["i32", "u32"]);
  const d = normalizeDim(op, dim, x.rank);
  if (index.rank !== x.rank || index.shape.some((size, k) => k !== d && size > x.shape[k]!)) {
    throw new ShapeError(
      `${op}: index ${formatShape(index.shape)} must have the dimensions of ${formatShape(x.shape)} and be no larger ` +
        `outside dimension ${d}.`,
    );
  }
  return d;
}

/**
 * Picks one element of `x` for each element of `index`: `y[i][j] = x[i][index[i][j]]` for `dim` 1, as `torch.gather`.
 * @param index i32 or u32 with as many dimensions as `x`, no larger than it outside `dim`; numbers outside the dimension give NaN
 * @returns the index's shape. Gradient: `dy` added into zeros at the same places, in a definite order
 */
export function gather(x: Tensor, dim: number, index: Tensor): Tensor {
  return gatherOp([x, index], { dim: checkIndex("gather", x, dim, index) });
}

const scatterAddOp = defineOp<{ dim: number }>({
  name: "scatter_add",
  forward(ctx, [x, index, src], { dim }) {
    ctx.saveForBackward(index!);
    return scattered(x!, x!.shape, dim, index!, src!);
  },
  // x passes through; each used element of src gets the gradient of the place it was added to.
  backward(ctx, [dy]) {
    const index = ctx.savedTensors[0]!;
    const shape = ctx.inputShapes[2]!;
    let dsrc: Tensor | null = null;
    if (ctx.needsInputGrad[2]) {
      const used = gatherValues(dy!, ctx.attributes.dim, index);
      const pads = shape.flatMap((size, d) => [0, size - index.shape[d]!] as const);
      const lastFirst = shape.flatMap((_, k) => pads.slice(2 * (shape.length - 1 - k)).slice(0, 2));
      dsrc = used.pad(lastFirst);
    }
    return [dy!, null, dsrc];
  },
});

/**
 * `x` with each element of `src` added at the place that `index` names along `dim`: `y[index[i][j]][j] += src[i][j]` for `dim` 0,
 * as `torch.scatter_add`. Repeated indices add up in the order in which they stand; numbers outside the dimension are left out.
 * @param index i32 or u32 with as many dimensions as `x` and `src`, no larger than `src`, nor than `x` outside `dim`
 */
export function scatterAdd(x: Tensor, dim: number, index: Tensor, src: Tensor): Tensor {
  const d = checkIndex("scatter_add", x, dim, index);
  if (src.rank !== index.rank || index.shape.some((size, k) => size > src.shape[k]!)) {
    throw new ShapeError(
      `scatter_add: index ${formatShape(index.shape)} must not be larger than src ${formatShape(src.shape)}.`,
    );
  }
  if (src.dtype !== x.dtype)
    throw new DtypeError(`scatter_add: src is ${src.dtype}, x is ${x.dtype}. Convert one with .to().`);
  return scatterAddOp([x, index, src], { dim: d });
}

const indexSelectOp = defineOp<{ dim: number }>({
  name: "index_select",
  forward(ctx, [x, index], { dim }) {
    ctx.saveForBackward(index!);
    const { shape } = x!;
    const lines = x!.reshape([numel(shape.slice(0, dim)), shape[dim]!, numel(shape.slice(dim + 1))]);
    return selectRows(lines, index!).reshape(shape.map((size, d) => (d === dim ? index!.numel : size)));
  },
  backward(ctx, [dy]) {
    const shape = ctx.inputShapes[0]!;
    const { dim } = ctx.attributes;
    const index = ctx.savedTensors[0]!;
    const lines = dy!.reshape([numel(shape.slice(0, dim)), index.numel, numel(shape.slice(dim + 1))]);
    return [indexAdd(lines, index, shape[dim]!, shape), null];
  },
});

/**
 * The entries of `dim` with the numbers in `index`, in its order, as `torch.index_select`.
 * @param index i32 or u32, one dimension (or none: one entry); numbers outside the dimension give NaN
 */
export function indexSelect(x: Tensor, dim: number, index: Tensor): Tensor {
  expectDtype("index_select", "the index", index.dtype, ["i32", "u32"]);
  if (index.rank > 1)
    throw new ShapeError(`index_select: index must have one dimension, got ${formatShape(index.shape)}.`);
  if (x.rank === 0) throw new ShapeError("index_select: a 0-d tensor has no dimension to select from.");
  return indexSelectOp([x, index], { dim: normalizeDim("index_select", dim, x.rank) });
}
