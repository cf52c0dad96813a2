import { readFileSync } from "node:fs";
import { defineOp, gridFor, Tensor } from "@wgrad/tensor";

const text = (file) => readFileSync(new URL(file, import.meta.url), "utf8");
const forwardKernel = { name: "snake", source: text("./snake.wgsl") };
const backwardKernel = { name: "snake/backward", source: text("./snake-backward.wgsl") };

const snakeOp = defineOp({
  name: "snake",
  forward(ctx, inputs) {
    const [x, a] = inputs.map(packed);
    ctx.saveForBackward(x, a);
    const y = Tensor.empty(ctx.device, x.shape, x.dtype);
    ctx.device.run(forwardKernel, {
      buffers: [x, a, y].map((tensor) => tensor.storage.buffer), // bindings 1, 2, 3
      params: [x.numel, a.numel], // the fields of Params, in order
      grid: gridFor(x.numel, 64), // enough workgroups of 64 invocations
    });
    return y;
  },
  backward(ctx, [gradient]) {
    const [x, a] = ctx.savedTensors;
    const dy = packed(gradient); // may come expanded or transposed, as from sum()
    const dx = Tensor.empty(ctx.device, x.shape, x.dtype);
    const terms = Tensor.empty(ctx.device, x.shape, x.dtype);
    ctx.device.run(backwardKernel, {
      buffers: [x, a, dy, dx, terms].map((tensor) => tensor.storage.buffer),
      params: [x.numel, a.numel],
      grid: gridFor(x.numel, 64),
    });
    return [dx, terms.sum(0)]; // one gradient an input; what else was made here is freed
  },
});

/** The kernels read from the start of a buffer, without gaps. */
const packed = (tensor) => (tensor.isContiguous && tensor.offset === 0 ? tensor : tensor.clone());

/**
 * Snake: x + sin(a x)² / a.
 * @param {Tensor} x [rows, features], f32
 * @param {Tensor} a [features], f32, not 0
 * @returns {Tensor} the shape of x
 */
export function snake(x, a) {
  if (x.rank !== 2 || a.rank !== 1 || x.shape[1] !== a.shape[0]) {
    throw new Error(`snake: needs x [rows, features] and a [features], got [${x.shape}] and [${a.shape}].`);
  }
  if (x.dtype !== "f32" || a.dtype !== "f32")
    throw new Error(`snake: f32 only, got ${x.dtype} and ${a.dtype}.`);
  return snakeOp([x, a], undefined);
}
