import { gridFor, type Kernel } from "../../device/kernel.js";
import { type Dtype, storageType } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import source from "./accumulate.wgsl";

const kernel: Kernel = { name: "accumulate", source };

const vec4Of = (dtype: Dtype) => `vec4<${storageType(dtype)}>`;

/**
 * total += x in place, without tape.
 * @param total contiguous, alone in its memory, at offset 0
 * @param x as many elements; f32 or f16, which need not be total's type
 */
export function accumulate(total: Tensor, x: Tensor): void {
  const packed = x.contiguous();
  const lanes = packed.offset % 4 === 0 && total.numel % 4 === 0 ? 4 : 1;
  const type = (tensor: Tensor) => (lanes === 4 ? vec4Of(tensor.dtype) : storageType(tensor.dtype));
  const count = total.numel / lanes;
  total.device.run(kernel, {
    buffers: [packed.storage.buffer, total.storage.buffer],
    params: [count, packed.offset / lanes],
    grid: gridFor(count, 64),
    specialisation: {
      ...(x.dtype === "f16" || total.dtype === "f16" ? { types: { Half: "f16" } } : {}),
      text: `alias X = ${type(packed)};\nalias T = ${type(total)};`,
    },
    cost: { flop: total.numel, bytes: 3 * total.storage.buffer.requested },
  });
  total.storage.version++;
}
