import { f32, gridFor, type Kernel } from "../../device/kernel.js";
import { Tensor } from "../../tensor.js";
import { wide } from "./chains.js";
import source from "./select-rows.wgsl";

const kernel: Kernel = { name: "indexing/select-rows", source };

/**
 * Rows of the middle dimension by number.
 * @param x `[outer, rows, inner]`, any dtype
 * @param indices any shape, i32 or u32; a number outside `[0, rows)` gives NaN (0 for integers)
 * @returns `[outer, indices.numel, inner]`
 */
export function selectRows(x: Tensor, indices: Tensor): Tensor {
  const [outer, rows, inner] = x.shape as [number, number, number];
  const table = x.contiguous();
  const numbers = indices.contiguous();
  const entries = numbers.numel;
  const y = Tensor.empty(x.device, [outer, entries, inner], x.dtype);
  const lanes = inner % 4 === 0 && table.offset % 4 === 0 ? 4 : 1;
  const count = y.numel / lanes;
  x.device.run(kernel, {
    buffers: [table.storage.buffer, numbers.storage.buffer, y.storage.buffer],
    params: [count, rows, entries, inner / lanes, table.offset / lanes, numbers.offset, f32(Number.NaN)],
    grid: gridFor(count, 64),
    specialisation: { types: { T: x.dtype, I: numbers.dtype }, text: wide(lanes) },
  });
  return y;
}
