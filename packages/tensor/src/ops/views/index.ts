import { defineOp } from "../../autograd/define-op.js";
import { eight, gridFor, type Kernel } from "../../device/kernel.js";
import { ShapeError, ValueError } from "../../errors.js";
import {
  broadcastStrides,
  contiguousStrides,
  formatShape,
  inferShape,
  mergeDimensions,
  normalizeDim,
  numel,
  type Shape,
  viewStrides,
} from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { sumTo } from "../sum/index.js";
import scatterSource from "./scatter-view.wgsl";

/** Views share memory with the tensor they are made from: nothing is copied, only shape, strides and offset differ. */
function view(x: Tensor, shape: Shape, strides: readonly number[], offset = x.offset): Tensor {
  return new Tensor(x.storage, shape, strides, offset, x.dtype);
}

const reshapeOp = defineOp<{ shape: Shape }>({
  name: "reshape",
  forward(_ctx, [x], { shape }) {
    const strides = viewStrides(x!.shape, x!.strides, shape);
    if (strides) return view(x!, shape, strides);
    const copy = x!.contiguous();
    return view(copy, shape, viewStrides(copy.shape, copy.strides, shape)!);
  },
  backward: (ctx, [dy]) => [dy!.reshape(ctx.inputShapes[0]!)],
});

/** Another shape with the same elements; one size may be -1. Copies only where the strides do not allow a view. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  return reshapeOp([x], { shape: inferShape("reshape", shape, x.numel, x.shape) });
}

const permuteOp = defineOp<{ dims: readonly number[] }>({
  name: "permute",
  forward: (_ctx, [x], { dims }) =>
    view(
      x!,
      dims.map((d) => x!.shape[d]!),
      dims.map((d) => x!.strides[d]!),
    ),
  backward(ctx, [dy]) {
    const inverse: number[] = [];
    ctx.attributes.dims.forEach((d, i) => {
      inverse[d] = i;
    });
    return [permute(dy!, inverse)];
  },
});

/** Dimensions in another order. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  const order = dims.map((d) => normalizeDim("permute", d, x.rank));
  if (order.length !== x.rank || new Set(order).size !== x.rank) {
    throw new ShapeError(
      `permute: [${dims.join(", ")}] does not name each of the ${x.rank} dimensions of ${formatShape(x.shape)} once.`,
    );
  }
  return permuteOp([x], { dims: order });
}

/** Two dimensions swapped. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const a = normalizeDim("transpose", dim0, x.rank);
  const b = normalizeDim("transpose", dim1, x.rank);
  const dims = x.shape.map((_, i) => (i === a ? b : i === b ? a : i));
  return permuteOp([x], { dims });
}

const expandOp = defineOp<{ shape: Shape }>({
  name: "expand",
  forward: (_ctx, [x], { shape }) => view(x!, shape, broadcastStrides(x!.shape, x!.strides, shape)),
  backward: (ctx, [dy]) => [sumTo(dy!, ctx.inputShapes[0]!)],
});

/** Dimensions of size 1 (and new leading ones) repeated without a copy; -1 keeps a size. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const lead = shape.length - x.rank;
  const target = shape.map((size, i) => (size === -1 && i >= lead ? x.shape[i - lead]! : size));
  const fits = lead >= 0 && x.shape.every((size, i) => size === 1 || size === target[i + lead]);
  if (!fits || target.some((size) => size < 0)) {
    throw new ShapeError(
      `expand: ${formatShape(x.shape)} does not expand to ${formatShape(shape)}; only sizes of 1 can grow.`,
    );
  }
  return expandOp([x], { shape: target });
}

/** One dimension's part of a slice: start, stop (null for the ends) and a positive step, by Python's rules. */
export type SliceRange = readonly [start: number | null, stop: number | null, step?: number];

interface ResolvedSlice {
  readonly shape: number[];
  readonly strides: number[];
  readonly offset: number;
}

function resolveSlice(
  shape: Shape,
  strides: readonly number[],
  ranges: readonly SliceRange[],
  offset: number,
): ResolvedSlice {
  const out: ResolvedSlice = { shape: [], strides: [], offset: 0 };
  let at = offset;
  shape.forEach((size, i) => {
    const [start, stop, step = 1] = ranges[i] ?? [null, null];
    const bound = (v: number) => Math.min(Math.max(v < 0 ? v + size : v, 0), size);
    const first = bound(start ?? 0);
    const last = bound(stop ?? size);
    out.shape.push(Math.max(0, Math.ceil((last - first) / step)));
    out.strides.push(strides[i]! * step);
    at += first * strides[i]!;
  });
  return { ...out, offset: at };
}

const scatterView: Kernel = { name: "scatter-view", source: scatterSource };

/** Writes `x` through the given strides into zeros of `shape`: the backward of slicing and of a diagonal. */
function scatterIntoZeros(x: Tensor, shape: Shape, strides: readonly number[], offset: number): Tensor {
  const y = Tensor.zeros(x.device, shape, x.dtype);
  writeStrided(x, y, strides, offset);
  return y;
}

/** Overwrites `y` (contiguous) with the elements of `x`, which has its shape, in place. */
export function writeInto(y: Tensor, x: Tensor): void {
  // One dispatch cannot read and write a buffer.
  writeStrided(x.storage === y.storage ? x.clone() : x, y, y.strides, y.offset);
  y.storage.version++;
}

/** Writes every element of `x` to `y` at the place that `strides` and `offset` give it. */
export function writeStrided(x: Tensor, y: Tensor, strides: readonly number[], offset: number): void {
  if (x.numel === 0) return;
  const merged = mergeDimensions(x.shape, [x.strides, strides]);
  x.device.run(scatterView, {
    buffers: [x.storage.buffer, y.storage.buffer],
    params: [
      x.numel,
      merged.shape.length,
      x.offset,
      offset,
      ...eight(merged.shape, 1),
      ...eight(merged.strides[0]!, 0),
      ...eight(merged.strides[1]!, 0),
    ],
    grid: gridFor(x.numel, 64),
    specialisation: { types: { T: x.dtype } },
  });
}

const sliceOp = defineOp<{ ranges: readonly SliceRange[] }>({
  name: "slice",
  forward(_ctx, [x], { ranges }) {
    const s = resolveSlice(x!.shape, x!.strides, ranges, x!.offset);
    return view(x!, s.shape, s.strides, s.offset);
  },
  backward(ctx, [dy]) {
    const shape = ctx.inputShapes[0]!;
    const s = resolveSlice(shape, contiguousStrides(shape), ctx.attributes.ranges, 0);
    return [scatterIntoZeros(dy!, shape, s.strides, s.offset)];
  },
});

/** `x[start:stop:step, …]` with one range a dimension (missing ones take all), without a copy. Steps must be positive. */
export function slice(x: Tensor, ranges: readonly SliceRange[]): Tensor {
  if (ranges.length > x.rank) {
    throw new ShapeError(
      `slice: ${ranges.length} ranges for the ${x.rank} dimensions of ${formatShape(x.shape)}.`,
    );
  }
  for (const [, , step = 1] of ranges) {
    if (!Number.isInteger(step) || step < 1)
      throw new ValueError(`slice: step ${step} is not positive; use flip for a reversed view.`);
  }
  return sliceOp([x], { ranges });
}

/** `length` entries of `dim` from `start` on, as `torch.narrow`. */
export function narrow(x: Tensor, dim: number, start: number, length: number): Tensor {
  const d = normalizeDim("narrow", dim, x.rank);
  const size = x.shape[d]!;
  const first = start < 0 ? start + size : start;
  if (first < 0 || length < 0 || first + length > size) {
    throw new ShapeError(
      `narrow: ${length} entries from ${start} on are outside dimension ${dim} of ${formatShape(x.shape)}.`,
    );
  }
  return slice(x, [...new Array<SliceRange>(d).fill([null, null]), [first, first + length]]);
}

/** Entry `index` of `dim`, which disappears, as `torch.select`. */
export function select(x: Tensor, dim: number, index: number): Tensor {
  const d = normalizeDim("select", dim, x.rank);
  const at = index < 0 ? index + x.shape[d]! : index;
  if (at < 0 || at >= x.shape[d]!) {
    throw new ShapeError(`select: index ${index} is outside dimension ${dim} of ${formatShape(x.shape)}.`);
  }
  return squeeze(narrow(x, d, at, 1), d);
}

/** Without a dimension of size 1 (or, without `dim`, without any of them). */
export function squeeze(x: Tensor, dim?: number): Tensor {
  if (dim === undefined)
    return reshape(
      x,
      x.shape.filter((size) => size !== 1),
    );
  const d = normalizeDim("squeeze", dim, x.rank);
  return x.shape[d] === 1
    ? reshape(
        x,
        x.shape.filter((_, i) => i !== d),
      )
    : x;
}

/** With a new dimension of size 1 before `dim`. */
export function unsqueeze(x: Tensor, dim: number): Tensor {
  const d = normalizeDim("unsqueeze", dim, x.rank + 1);
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

/** Dimensions `startDim` to `endDim` merged into one. */
export function flatten(x: Tensor, startDim = 0, endDim = -1): Tensor {
  if (x.rank === 0) return reshape(x, [1]);
  const a = normalizeDim("flatten", startDim, x.rank);
  const b = normalizeDim("flatten", endDim, x.rank);
  return reshape(x, [...x.shape.slice(0, a), numel(x.shape.slice(a, b + 1)), ...x.shape.slice(b + 1)]);
}

const diagonalOp = defineOp<undefined>({
  name: "diagonal",
  forward(_ctx, [x]) {
    const { shape, strides, rank } = x!;
    const size = Math.min(shape[rank - 2]!, shape[rank - 1]!);
    const step = strides[rank - 2]! + strides[rank - 1]!;
    return view(x!, [...shape.slice(0, -2), size], [...strides.slice(0, -2), step]);
  },
  backward(ctx, [dy]) {
    const shape = ctx.inputShapes[0]!;
    const strides = contiguousStrides(shape);
    return [scatterIntoZeros(dy!, shape, [...strides.slice(0, -2), strides.at(-2)! + 1], 0)];
  },
});

/** Main diagonal of the last two dimensions, as a view. */
export function diagonal(x: Tensor): Tensor {
  if (x.rank < 2) throw new ShapeError(`diagonal: needs two dimensions, got ${formatShape(x.shape)}.`);
  return diagonalOp([x], undefined);
}
