import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { formatShape, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { type Pair, pairOf } from "../conv2d/index.js";
import backwardSource from "./backward.wgsl";
import forwardSource from "./forward.wgsl";
import params from "./params.wgsl";

const forwardKernel: Kernel = { name: "avg-pool2d/forward", source: forwardSource, snippets: [params] };
const backwardKernel: Kernel = { name: "avg-pool2d/backward", source: backwardSource, snippets: [params] };

/** Options of `avgPool2d`, PyTorch's names and defaults. */
export interface AvgPool2dOptions {
  /** Size of the window. */
  kernelSize: Pair;
  /** Step of the window. Default: its size. */
  stride?: Pair;
  /** Zeros on each side, at most half the window. Default 0. */
  padding?: Pair;
  /** Whether the zeros of the padding count in the mean. Default true. */
  countIncludePad?: boolean;
}

interface Pooling {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly countIncludePad: boolean;
  readonly outSize: readonly [number, number];
}

function run(kernel: Kernel, from: Tensor, shape: Shape, pictures: Shape, pooling: Pooling): Tensor {
  const source = from.contiguous();
  const to = Tensor.empty(from.device, shape, from.dtype);
  const planes = pictures.slice(0, -2).reduce((product, size) => product * size, 1);
  const { outSize, kernel: size, stride, padding } = pooling;
  from.device.run(kernel, {
    buffers: [source.storage.buffer, to.storage.buffer],
    params: [planes, source.offset, ...pictures.slice(-2), ...outSize, ...size, ...stride, ...padding],
    grid: gridFor(to.numel, 64),
    specialisation: { types: { T: from.dtype }, constants: { COUNT_PADDING: pooling.countIncludePad } },
  });
  return to;
}

const avgPool2dOp = defineOp<Pooling>({
  name: "avg_pool2d",
  forward: (_ctx, [x], pooling) =>
    run(forwardKernel, x!, [...x!.shape.slice(0, -2), ...pooling.outSize], x!.shape, pooling),
  backward: (ctx, [dy]) => [
    run(backwardKernel, dy!, ctx.inputShapes[0]!, ctx.inputShapes[0]!, ctx.attributes),
  ],
});

/**
 * Mean of each window of a picture, as `torch.nn.functional.avg_pool2d` (without `ceil_mode`).
 * @param x [N, C, H, W] or [C, H, W], f32 or f16
 * @returns [N, C, P, Q] with P = floor((H + 2 padding - kernelSize) / stride) + 1, Q alike
 * @throws ShapeError if the window is larger than the padded picture
 * @throws ValueError for a padding of more than half the window, as some windows would lie outside the picture
 */
export function avgPool2d(x: Tensor, options: AvgPool2dOptions): Tensor {
  const op = "avgPool2d";
  expectDtype(op, "x", x.dtype, ["f32", "f16"]);
  if (x.rank !== 3 && x.rank !== 4) {
    throw new ShapeError(`${op}: x must be [N, C, H, W] or [C, H, W], got ${formatShape(x.shape)}.`);
  }
  const kernel = pairOf(op, "kernelSize", options.kernelSize, 1);
  const stride = pairOf(op, "stride", options.stride ?? kernel, 1);
  const padding = pairOf(op, "padding", options.padding ?? 0, 0);
  if (padding[0] * 2 > kernel[0] || padding[1] * 2 > kernel[1]) {
    throw new ValueError(
      `${op}: padding [${padding.join(", ")}] is more than half the window [${kernel.join(", ")}].`,
    );
  }
  const along = (d: 0 | 1) => Math.floor((x.shape.at(d - 2)! + 2 * padding[d] - kernel[d]) / stride[d]) + 1;
  const outSize = [along(0), along(1)] as const;
  if (outSize[0] < 1 || outSize[1] < 1) {
    throw new ShapeError(
      `${op}: the window [${kernel.join(", ")}] is larger than the picture of ${formatShape(x.shape)} with padding [${padding.join(", ")}].`,
    );
  }
  return avgPool2dOp([x], {
    kernel,
    stride,
    padding,
    countIncludePad: options.countIncludePad ?? true,
    outSize,
  });
}
