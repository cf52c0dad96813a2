import { gridFor, type Kernel } from "../../device/kernel.js";
import type { Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import linkSource from "./chain-link.wgsl";
import orderSource from "./chain-order.wgsl";
import indexAddSource from "./index-add.wgsl";

const link: Kernel = { name: "indexing/chain-link", source: linkSource };
const order: Kernel = { name: "indexing/chain-order", source: orderSource };
const indexAddKernel: Kernel = { name: "indexing/index-add", source: indexAddSource };

/** No row is skipped: larger than any row number. */
const NOTHING = 0xffffffff;

/** For each row, the entries of an index tensor that name it, in rising order, as linked lists on the GPU. */
interface Chains {
  /** u32 `[2 * rows]`: the second half holds the first entry of each row, counted from 1 (0 = none). */
  readonly heads: Tensor;
  /** u32 `[entries]`: the following entry of the same row, counted from 1 (0 = none). */
  readonly next: Tensor;
}

/**
 * Links equal indices. Atomics put the entries of a row on a list in any order, then each entry walks that list for its
 * successor: the work is the sum of the squares of how often each row is named, without a sort and without float atomics.
 */
function chain(indices: Tensor, rows: number, skipped: number): Chains {
  const device = indices.device;
  const count = indices.numel;
  const heads = Tensor.zeros(device, [2 * rows], "u32");
  const links = Tensor.empty(device, [count], "u32");
  const next = Tensor.empty(device, [count], "u32");
  const params = [count, rows, indices.offset, skipped];
  const grid = gridFor(count, 64);
  const specialisation = { types: { I: indices.dtype } };
  const buffers = [indices.storage.buffer, heads.storage.buffer, links.storage.buffer];
  device.run(link, { buffers, params, grid, specialisation });
  device.run(order, { buffers: [...buffers, next.storage.buffer], params, grid, specialisation });
  return { heads, next };
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
  skipped: number | null = null,
): Tensor {
  const [outer, entries, inner] = dy.shape as [number, number, number];
  const packed = dy.contiguous();
  const dx = Tensor.empty(dy.device, shape, dy.dtype);
  if (dx.numel === 0) return dx;
  const { heads, next } = chain(indices.contiguous(), rows, skipped ?? NOTHING);
  const lanes = inner % 4 === 0 && packed.offset % 4 === 0 ? 4 : 1;
  dy.device.run(indexAddKernel, {
    buffers: [packed.storage.buffer, heads.storage.buffer, next.storage.buffer, dx.storage.buffer],
    params: [outer, rows, entries, inner / lanes, packed.offset / lanes],
    grid: gridFor(outer * rows, 1),
    specialisation: { types: { T: dy.dtype }, text: wide(lanes) },
  });
  return dx;
}

/** The types of a kernel that moves rows by one or by four elements: storage `Wide` and accumulator `Sum`. */
export function wide(lanes: 1 | 4): string {
  return lanes === 4 ? "alias Wide = vec4<T>;\nalias Sum = vec4<f32>;" : "alias Wide = T;\nalias Sum = f32;";
}
