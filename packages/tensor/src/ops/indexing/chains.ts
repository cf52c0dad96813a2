import { gridFor, type Kernel } from "../../device/kernel.js";
import { bytesPerElement, type Dtype } from "../../dtype.js";
import type { Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import linkSource from "./chain-link.wgsl";
import orderSource from "./chain-order.wgsl";
import indexAddSource from "./index-add.wgsl";
import { rowLayout, specialise } from "./row-layout.js";

const link: Kernel = { name: "indexing/chain-link", source: linkSource };
const order: Kernel = { name: "indexing/chain-order", source: orderSource };
const indexAddKernel: Kernel = { name: "indexing/index-add", source: indexAddSource };

/** No row is skipped: larger than any row number. */
export const NOTHING = 0xffffffff;

/**
 * Links equal indices in rising order. Atomics put the entries of a row on a list in any order, then each entry walks that list
 * for its successor: the work is the sum of the squares of how often each row is named, without a sort and without float atomics.
 * @returns u32 `[2 * entries]`: the following entry of the same row, counted from 1 (0 = none); then 1 for the first entry of
 *   each row. Indices outside the rows and `skipped` are in no chain
 */
function chain(indices: Tensor, rows: number, skipped: number): Tensor {
  const device = indices.device;
  const count = indices.numel;
  const heads = Tensor.zeros(device, [rows], "u32");
  const links = Tensor.empty(device, [count], "u32");
  const next = Tensor.empty(device, [2 * count], "u32");
  const params = [count, rows, indices.offset, skipped];
  const grid = gridFor(count, 64);
  const specialisation = { types: { I: indices.dtype } };
  const buffers = [indices.storage.buffer, heads.storage.buffer, links.storage.buffer];
  device.run(link, { buffers, params, grid, specialisation });
  device.run(order, { buffers: [...buffers, next.storage.buffer], params, grid, specialisation });
  return next;
}

/** Options of `indexAdd`. */
export interface IndexAddOptions {
  /** A row that gets nothing. */
  readonly skipped?: number | null;
  /** Element type of the result; default that of dy. */
  readonly dtype?: Dtype;
  /** Finds the chains; default by lists, see `chain`. */
  readonly chains?: (indices: Tensor, rows: number, skipped: number) => Tensor;
}

/**
 * The backward of selecting rows: `dx[o, indices[e], :] += dy[o, e, :]` over zeros, in a definite order.
 * Indices outside `[0, rows)` and `skipped` add nothing.
 * @param dy `[outer, entries, inner]`, f32 or f16; sums run in f32
 * @param indices any shape with `entries` elements, i32 or u32
 * @param shape of the result, with outer · rows · inner elements. Given here because a view of the result would share its
 *   memory, and the tape copies a gradient that is not alone in its memory
 */
export function indexAdd(
  dy: Tensor,
  indices: Tensor,
  rows: number,
  shape: Shape,
  options: IndexAddOptions = {},
): Tensor {
  const { skipped = null, dtype = dy.dtype, chains = chain } = options;
  const [outer, entries, inner] = dy.shape as [number, number, number];
  const packed = dy.contiguous();
  const numbers = indices.contiguous();
  const dx = Tensor.zeros(dy.device, shape, dtype);
  const next = chains(numbers, rows, skipped ?? NOTHING);
  const layout = rowLayout(inner, packed.offset);
  dy.device.run(indexAddKernel, {
    buffers: [packed.storage.buffer, numbers.storage.buffer, next.storage.buffer, dx.storage.buffer],
    params: [outer, rows, entries, inner / layout.wide, packed.offset / layout.wide, numbers.offset],
    grid: gridFor(outer * entries * layout.lanes, 64),
    specialisation: specialise(layout, dy.dtype, numbers.dtype, dtype),
    cost: { flop: 0, bytes: outer * entries * inner * (bytesPerElement(dy.dtype) + bytesPerElement(dtype)) },
  });
  return dx;
}
