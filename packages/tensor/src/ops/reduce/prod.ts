import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { isFloating } from "../../dtype.js";
import { normalizeDim } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { pad } from "../pad/index.js";
import { reducedShape } from "../sum/index.js";
import { linesAlong } from "./lines.js";
import source from "./prod.wgsl";
import backwardSource from "./prod-backward.wgsl";

const kernel: Kernel = { name: "reduce/prod", source };
const backwardKernel: Kernel = { name: "reduce/prod-backward", source: backwardSource };

/** Elements of one line from which on the product of a whole tensor goes in two steps, so that more than one invocation works. */
const LONG = 4096;

const prodOp = defineOp<{ dim: number; keepdim: boolean }>({
  name: "prod",
  forward(ctx, [x], { dim, keepdim }) {
    ctx.saveForBackward(x!);
    const packed = x!.contiguous();
    const lines = linesAlong(x!.shape, dim);
    const float = isFloating(x!.dtype);
    const dtype = x!.dtype === "bool" ? "i32" : x!.dtype;
    const y = Tensor.empty(x!.device, reducedShape(x!.shape, [dim], keepdim), dtype);
    x!.device.run(kernel, {
      buffers: [packed.storage.buffer, y.storage.buffer],
      params: [lines.count, lines.length, lines.inner, packed.offset],
      grid: gridFor(lines.count, 64),
      specialisation: { types: { X: x!.dtype, Y: dtype, Accumulator: float ? "f32" : dtype } },
    });
    return y;
  },
  backward(ctx, [dy]) {
    const x = ctx.savedTensors[0]!.contiguous();
    const gradient = dy!.contiguous();
    const lines = linesAlong(x.shape, ctx.attributes.dim);
    const dx = Tensor.empty(x.device, x.shape, "f32");
    x.device.run(backwardKernel, {
      buffers: [x.storage.buffer, gradient.storage.buffer, dx.storage.buffer],
      params: [lines.count, lines.length, lines.inner, x.offset, gradient.offset],
      grid: gridFor(lines.count, 64),
      specialisation: { types: { X: x.dtype, Y: gradient.dtype } },
    });
    return [dx.to(x.dtype)];
  },
});

/** Product over `dim`, or of all elements for null, as `torch.prod`. The gradient is exact where elements are 0. */
export function prod(x: Tensor, dim: number | null = null, keepdim = false): Tensor {
  if (dim !== null) return prodOp([x], { dim: normalizeDim("prod", dim, x.rank), keepdim });
  const flat = x.reshape([x.numel]);
  const width = Math.ceil(Math.sqrt(x.numel));
  const whole =
    x.numel < LONG
      ? flat
      : prodOp([pad(flat, [0, width * width - x.numel], 1).reshape([width, width])], {
          dim: 1,
          keepdim: false,
        });
  return prodOp([whole], { dim: 0, keepdim: false }).reshape(keepdim ? x.shape.map(() => 1) : []);
}
