import { f32, gridFor, type Kernel } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { Tensor } from "../../tensor.js";
import { rowLayout, specialise } from "./row-layout.js";
import source from "./select-rows.wgsl";

const kernel: Kernel = { name: "indexing/select-rows", source };

/**
 * Rows of the middle dimension by number.
 * @param x `[outer, rows, inner]`, any dtype
 * @param indices any shape, i32 or u32; a number outside `[0, rows)` gives NaN (0 for integers)
 * @param dtype of the result; default that of x
 * @returns `[outer, indices.numel, inner]`
 */
export function selectRows(x: Tensor, indices: Tensor, dtype: Dtype = x.dtype): Tensor {
  const [outer, rows, inner] = x.shape as [number, number, number];
  const table = x.contiguous();
  const numbers = indices.contiguous();
  const entries = numbers.numel;
  const y = Tensor.empty(x.device, [outer, entries, inner], dtype);
  const layout = rowLayout(inner, table.offset);
  const lines = inner > 0 ? outer * entries : 0;
  x.device.run(kernel, {
    buffers: [table.storage.buffer, numbers.storage.buffer, y.storage.buffer],
    params: [
      lines,
      rows,
      entries,
      inner / layout.wide,
      table.offset / layout.wide,
      numbers.offset,
      f32(Number.NaN),
    ],
    grid: gridFor(lines * layout.lanes, 64),
    specialisation: specialise(layout, x.dtype, numbers.dtype, dtype),
  });
  return y;
}
