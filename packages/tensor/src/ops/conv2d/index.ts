import { loweredDtype } from "../../autograd/autocast.js";
import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { DtypeError, ShapeError, ValueError } from "../../errors.js";
import { formatShape, numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { linear } from "../matmul/index.js";
import { sum } from "../sum/index.js";
import forwardSource from "./1-direct.wgsl";
import backwardWeightSource from "./backward-weight.wgsl";
import backwardXSource from "./backward-x.wgsl";
import params from "./params.wgsl";

const forwardKernel: Kernel = { name: "conv2d/1-direct", source: forwardSource, snippets: [params] };
const backwardXKernel: Kernel = { name: "conv2d/backward-x", source: backwardXSource, snippets: [params] };
const backwardWeightKernel: Kernel = {
  name: "conv2d/backward-weight",
  source: backwardWeightSource,
  snippets: [params],
};

/** One number for both directions, or [rows, columns]. */
export type Pair = number | readonly [number, number];

/** Both directions of a `Pair`, checked to be whole numbers from `least` on. */
export function pairOf(op: string, name: string, value: Pair, least: number): readonly [number, number] {
  const pair = typeof value === "number" ? ([value, value] as const) : value;
  if (pair.length !== 2 || pair.some((v) => !Number.isInteger(v) || v < least)) {
    throw new ValueError(
      `${op}: ${name} is [${pair.join(", ")}]; expected one or two whole numbers, ${least} or more.`,
    );
  }
  return pair;
}

/** Options of `conv2d`, PyTorch's names and defaults. */
export interface ConvolutionOptions {
  /** Step of the filter. Default 1. */
  stride?: Pair;
  /** Zeros on each side of the picture. Default 0. */
  padding?: Pair;
  /** Distance between the filter's taps. Default 1. */
  dilation?: Pair;
  /** Parts into which the channels are cut, each with filters of its own. Default 1. */
  groups?: number;
}

/** A convolution with its options resolved, as the kernels take it. */
export interface Convolution {
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
  /** Rows and columns of y. */
  readonly outSize: readonly [number, number];
}

function paramsOf(x: readonly number[], weight: readonly number[], c: Convolution): number[] {
  const [n, channels, h, w] = x as [number, number, number, number];
  const [o, , r, s] = weight as [number, number, number, number];
  return [n, channels, o, c.groups, h, w, ...c.outSize, r, s, ...c.stride, ...c.padding, ...c.dilation];
}

/** A tensor that lies from the start of its storage without gaps, as the kernels read it. */
const packed = (x: Tensor) => (x.isContiguous && x.offset === 0 ? x : x.clone());

const conv2dOp = defineOp<Convolution>({
  name: "conv2d",
  forward(ctx, [x, weight, bias], convolution) {
    ctx.saveForBackward(x!, weight!);
    const [px, pw] = [packed(x!), packed(weight!)];
    const y = Tensor.empty(x!.device, [x!.shape[0]!, weight!.shape[0]!, ...convolution.outSize], x!.dtype);
    x!.device.run(forwardKernel, {
      // A binding cannot stay empty: without a bias the weight stands there and is not read.
      buffers: [px, pw, bias ? packed(bias) : pw, y].map((t) => t.storage.buffer),
      params: paramsOf(x!.shape, weight!.shape, convolution),
      grid: gridFor(y.numel, 64),
      specialisation: { types: { T: x!.dtype }, constants: { BIAS: bias !== undefined } },
    });
    return y;
  },
  backward(ctx, [gradient]) {
    const [x, weight] = ctx.savedTensors as [Tensor, Tensor];
    const { device, dtype } = x;
    const dy = packed(gradient!);
    const call = {
      params: paramsOf(x.shape, weight.shape, ctx.attributes),
      specialisation: { types: { T: dtype } },
    };
    const ofX = () => {
      const dx = Tensor.empty(device, x.shape, dtype);
      const buffers = [dy, packed(weight), dx].map((t) => t.storage.buffer);
      device.run(backwardXKernel, { ...call, buffers, grid: gridFor(dx.numel, 64) });
      return dx;
    };
    const ofWeight = () => {
      const dw = Tensor.empty(device, weight.shape, dtype);
      const buffers = [packed(x), dy, dw].map((t) => t.storage.buffer);
      device.run(backwardWeightKernel, { ...call, buffers, grid: gridFor(dw.numel, 1) });
      return dw;
    };
    const [needsX, needsWeight, needsBias] = ctx.needsInputGrad;
    return [needsX ? ofX() : null, needsWeight ? ofWeight() : null, needsBias ? sum(dy, [0, 2, 3]) : null];
  },
});

/**
 * The convolution as one matrix product: where the filter steps by its own size every pixel belongs to one patch, so the
 * patches are the rows [N P Q, C R S] of a matrix. y is a view of [N, P, Q, O], which is the order a transformer reads it in.
 * Measured on llvmpipe, x [2, 3, 224, 224] and weight [768, 3, 16, 16]: 42 ms of CPU time forward and 113 ms with backward,
 * where the direct kernels take 659 and 5,572.
 */
function byPatches(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | undefined,
  outSize: readonly [number, number],
): Tensor {
  const [n, c] = x.shape as [number, number];
  const [o, , r, s] = weight.shape as [number, number, number, number];
  const [p, q] = outSize;
  const whole = x.slice([
    [null, null],
    [null, null],
    [0, p * r],
    [0, q * s],
  ]);
  const patches = whole
    .reshape([n, c, p, r, q, s])
    .permute([0, 2, 4, 1, 3, 5])
    .reshape([n * p * q, c * r * s]);
  const y = linear(patches, weight.reshape([o, c * r * s]), bias);
  return y.reshape([n, p, q, o]).permute([0, 3, 1, 2]);
}

/**
 * 2-d convolution (cross-correlation), as `torch.nn.functional.conv2d`.
 * Letters: N batch, C channels in, O channels out, G groups, R × S filter.
 * @param x [N, C, H, W], f32 or f16, as all; inside `autocast` the result is f16 whatever they are
 * @param weight [O, C / G, R, S]
 * @param bias [O]
 * @returns [N, O, P, Q] with P = floor((H + 2 padding - dilation (R - 1) - 1) / stride) + 1, Q alike
 *
 * A filter that steps by its own size without padding, dilation or groups (the patch embedding of a vision transformer)
 * goes as one matrix product, everything else through direct kernels. `device.variants.set("conv2d", "1-direct")` or
 * `"2-patches"` asks for one of them. Sums are taken in f32. No atomics: the same bits in every run.
 * @throws ShapeError for channels that do not fit, or a filter larger than the padded picture
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: ConvolutionOptions = {},
): Tensor {
  const op = "conv2d";
  const stride = pairOf(op, "stride", options.stride ?? 1, 1);
  const padding = pairOf(op, "padding", options.padding ?? 0, 0);
  const dilation = pairOf(op, "dilation", options.dilation ?? 1, 1);
  const groups = options.groups ?? 1;
  expectDtype(op, "x", x.dtype, ["f32", "f16"]);
  const lower = loweredDtype(x.device);
  for (const other of [weight, bias]) {
    if (other && other.dtype !== x.dtype && !lower) {
      throw new DtypeError(
        `${op}: x is ${x.dtype}, weight or bias is ${other.dtype}; all must have the same type. Convert with .to("${x.dtype}").`,
      );
    }
  }
  const shapes = `x ${formatShape(x.shape)}, weight ${formatShape(weight.shape)}`;
  if (x.rank !== 4 || weight.rank !== 4) {
    throw new ShapeError(
      `${op}: x must be [N, C, H, W] and weight [O, C / groups, R, S], got ${shapes}. unsqueeze(0) adds a batch of one.`,
    );
  }
  const [channels, outputs] = [x.shape[1]!, weight.shape[0]!];
  if (!Number.isInteger(groups) || groups < 1 || channels % groups !== 0 || outputs % groups !== 0) {
    throw new ShapeError(
      `${op}: groups ${groups} does not divide the ${channels} channels of x and the ${outputs} of weight (${shapes}).`,
    );
  }
  if (weight.shape[1] !== channels / groups) {
    throw new ShapeError(
      `${op}: weight ${formatShape(weight.shape)} takes ${weight.shape[1]} channels a group, x ${formatShape(x.shape)} has ` +
        `${channels} in ${groups} group(s), so weight.shape[1] must be ${channels / groups}.`,
    );
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== outputs)) {
    throw new ShapeError(
      `${op}: bias ${formatShape(bias.shape)} must be [${outputs}], one for each channel of weight ${formatShape(weight.shape)}.`,
    );
  }
  const filter = [weight.shape[2]!, weight.shape[3]!] as const;
  const extent = (d: 0 | 1) => dilation[d] * (filter[d] - 1) + 1;
  const outAlong = (d: 0 | 1) => Math.floor((x.shape[2 + d]! + 2 * padding[d] - extent(d)) / stride[d]) + 1;
  const outSize = [outAlong(0), outAlong(1)] as const;
  if (outSize[0] < 1 || outSize[1] < 1 || numel(filter) === 0) {
    throw new ShapeError(
      `${op}: the filter covers [${extent(0)}, ${extent(1)}] but the padded picture is only ` +
        `[${x.shape[2]! + 2 * padding[0]}, ${x.shape[3]! + 2 * padding[1]}] (${shapes}). Add padding or take a smaller filter.`,
    );
  }
  const isPatches =
    groups === 1 && [0, 1].every((d) => stride[d] === filter[d] && padding[d] === 0 && dilation[d] === 1);
  const variant = x.device.variants.get(op) ?? (isPatches ? "2-patches" : "1-direct");
  if (variant === "2-patches" && isPatches) return byPatches(x, weight, bias ?? undefined, outSize);
  const inputs = (bias ? [x, weight, bias] : [x, weight]).map((input) => (lower ? input.to(lower) : input));
  return conv2dOp(inputs, { stride, padding, dilation, groups, outSize });
}
