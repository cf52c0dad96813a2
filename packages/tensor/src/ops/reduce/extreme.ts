import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { isFloating } from "../../dtype.js";
import { ValueError } from "../../errors.js";
import { formatShape, normalizeDim } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { scatterAdd } from "../indexing/index.js";
import { reducedShape } from "../sum/index.js";
import source from "./extreme.wgsl";
import { type Lines, linesAlong, partsFor } from "./lines.js";

const kernel: Kernel = { name: "reduce/extreme", source };

type Which = "max" | "min";

/** Values along one dimension and their places: what `max(dim)` and `min(dim)` return. */
export interface ValuesAndIndices {
  readonly values: Tensor;
  /** i32 */
  readonly indices: Tensor;
}

/** Values and u32 indices, each `[lines.count]`, of a tensor without gaps. Long lines go in parts, whose winners compete again. */
function extremes(
  x: Tensor,
  lines: Lines,
  which: Which,
  places: Tensor | null,
): { values: Tensor; indices: Tensor } {
  const wanted = partsFor(lines);
  const partLength = Math.ceil(lines.length / wanted);
  const parts = Math.ceil(lines.length / partLength);
  const values = Tensor.empty(x.device, [parts, lines.count], x.dtype);
  const indices = Tensor.empty(x.device, [parts, lines.count], "u32");
  const buffers = [x.storage.buffer, values.storage.buffer, indices.storage.buffer];
  const nan = isFloating(x.dtype) ? "(bitcast<u32>(f32(v)) & 0x7fffffffu) > 0x7f800000u" : "false";
  const text = [
    `fn better(a: T, b: T) -> bool { return a ${which === "max" ? ">" : "<"} b; }`,
    `fn is_nan(v: T) -> bool { return ${nan}; }`,
    places
      ? "@group(0) @binding(4) var<storage, read> places: array<u32>;\nfn place(at: u32, k: u32) -> u32 { return places[at]; }"
      : "fn place(at: u32, k: u32) -> u32 { return k; }",
  ].join("\n");
  x.device.run(kernel, {
    buffers: places ? [...buffers, places.storage.buffer] : buffers,
    params: [lines.count, lines.length, lines.inner, parts, partLength, x.offset],
    grid: gridFor(lines.count * parts, 64),
    specialisation: { types: { T: x.dtype }, text },
  });
  if (parts === 1) return { values, indices };
  return extremes(
    values,
    { outer: 1, length: parts, inner: lines.count, count: lines.count },
    which,
    indices,
  );
}

/** Winners along `dim` of any tensor; `dim` null runs over all elements. */
function winners(x: Tensor, dim: number | null, which: Which): { values: Tensor; indices: Tensor } {
  const flat = dim === null ? x.reshape([x.numel]) : x;
  return extremes(flat.contiguous(), linesAlong(flat.shape, dim ?? 0), which, null);
}

function refuseEmpty(op: string, x: Tensor, dim: number | null): void {
  if (dim === null ? x.numel === 0 : x.shape[dim] === 0) {
    const what = dim === null ? "a tensor without elements" : `dimension ${dim}, which is empty,`;
    throw new ValueError(
      `${op}: ${what} has no largest or smallest element (shape ${formatShape(x.shape)}).`,
    );
  }
}

interface DimAttributes {
  readonly dim: number;
  readonly keepdim: boolean;
}

function alongDim(which: Which) {
  const op = defineOp<DimAttributes, Tensor[]>({
    name: which,
    forward(ctx, [x], { dim, keepdim }) {
      const { values, indices } = winners(x!, dim, which);
      const shape = reducedShape(x!.shape, [dim], keepdim);
      const places = indices.reshape(shape).to("i32");
      ctx.saveForBackward(places);
      return [values.reshape(shape), places];
    },
    // The whole gradient goes to the element that was taken.
    backward(ctx, [dy]) {
      const shape = ctx.inputShapes[0]!;
      const kept = shape.map((size, d) => (d === ctx.attributes.dim ? 1 : size));
      const zeros = Tensor.zeros(ctx.device, shape, dy!.dtype);
      return [scatterAdd(zeros, ctx.attributes.dim, ctx.savedTensors[0]!.reshape(kept), dy!.reshape(kept))];
    },
  });
  return (x: Tensor, dim: number, keepdim: boolean): ValuesAndIndices => {
    const d = normalizeDim(which, dim, x.rank);
    refuseEmpty(which, x, d);
    const [values, indices] = op([x], { dim: d, keepdim }) as [Tensor, Tensor];
    return { values, indices };
  };
}

function ofAll(which: Which) {
  const op = defineOp<undefined>({
    name: which,
    forward(ctx, [x]) {
      const y = winners(x!, null, which).values.reshape([]);
      ctx.saveForBackward(x!, y);
      return y;
    },
    // Equal elements share the gradient evenly.
    backward(ctx, [dy]) {
      const [x, y] = ctx.savedTensors as [Tensor, Tensor];
      const ties = x.eq(y);
      return [ties.to(dy!.dtype).mul(dy!.div(ties.sum().to(dy!.dtype)))];
    },
  });
  return (x: Tensor): Tensor => {
    refuseEmpty(which, x, null);
    return op([x], undefined);
  };
}

function argument(which: Which) {
  const op = defineOp<{ dim: number | null; keepdim: boolean }>({
    name: `arg${which}`,
    forward(_ctx, [x], { dim, keepdim }) {
      const shape = dim === null ? x!.shape.map(() => 1) : reducedShape(x!.shape, [dim], keepdim);
      return winners(x!, dim, which)
        .indices.reshape(dim === null && !keepdim ? [] : shape)
        .to("i32");
    },
  });
  return (x: Tensor, dim: number | null, keepdim: boolean): Tensor => {
    const d = dim === null ? null : normalizeDim(`arg${which}`, dim, x.rank);
    refuseEmpty(`arg${which}`, x, d);
    return op([x.detach()], { dim: d, keepdim });
  };
}

const along = { max: alongDim("max"), min: alongDim("min") };
const all = { max: ofAll("max"), min: ofAll("min") };
const arg = { max: argument("max"), min: argument("min") };

/**
 * Largest element: of all (a 0-d tensor, whose gradient equal elements share), or along `dim` with its places (the first of
 * equal ones, which gets the whole gradient), as `torch.max`.
 * @throws ValueError for no elements
 */
export function max(x: Tensor): Tensor;
export function max(x: Tensor, dim: number, keepdim?: boolean): ValuesAndIndices;
export function max(x: Tensor, dim?: number, keepdim = false): Tensor | ValuesAndIndices {
  return dim === undefined ? all.max(x) : along.max(x, dim, keepdim);
}

/** Smallest element: see `max`. */
export function min(x: Tensor): Tensor;
export function min(x: Tensor, dim: number, keepdim?: boolean): ValuesAndIndices;
export function min(x: Tensor, dim?: number, keepdim = false): Tensor | ValuesAndIndices {
  return dim === undefined ? all.min(x) : along.min(x, dim, keepdim);
}

/**
 * Place (i32) of the largest element along `dim`, or in the flattened tensor for null; the first of equal ones, as `torch.argmax`.
 * @throws ValueError for no elements
 */
export function argmax(x: Tensor, dim: number | null = null, keepdim = false): Tensor {
  return arg.max(x, dim, keepdim);
}

/** Place of the smallest element: see `argmax`. */
export function argmin(x: Tensor, dim: number | null = null, keepdim = false): Tensor {
  return arg.min(x, dim, keepdim);
}
