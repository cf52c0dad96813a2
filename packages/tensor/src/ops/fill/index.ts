import { gridFor, type Kernel } from "../../device/kernel.js";
import { bytesPerElement, type Dtype, toHalfBits } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import source from "./fill.wgsl";

const kernel: Kernel = { name: "fill", source };
/** Bytes from which on the device's own clearing is worth the end of a compute pass. */
const LARGE = 1 << 18;

const word = new DataView(new ArrayBuffer(4));

/** The 32-bit pattern of one value, twice over for f16. */
function bitsOf(value: number, dtype: Dtype): number {
  if (dtype === "f16") return (toHalfBits(value) * 0x10001) >>> 0;
  if (dtype === "bool") return value ? 1 : 0;
  if (dtype === "f32") word.setFloat32(0, value);
  else word.setInt32(0, value);
  return word.getUint32(0);
}

/** Sets every element of a tensor without gaps to `value`, in place. */
export function fill(y: Tensor, value: number): void {
  const groups = Math.ceil((y.numel * bytesPerElement(y.dtype)) / 16);
  const bits = bitsOf(value, y.dtype);
  if (bits === 0 && groups * 16 >= LARGE) {
    y.device.clear(y.storage.buffer, groups * 16);
  } else {
    y.device.run(kernel, {
      buffers: [y.storage.buffer],
      params: [groups, bits],
      grid: gridFor(groups, 64),
    });
  }
  y.storage.version++;
}
