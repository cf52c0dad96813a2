import { defineOp } from "../../autograd/define-op.js";
import { eight, f32, gridFor, type Kernel } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { isFloating } from "../../dtype.js";
import { contiguousStrides, mergeDimensions, normalizeDims, numel, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import source from "./sum.wgsl";

const kernel: Kernel = { name: "sum", source };

/** Parts into which a sum is cut so that at least some 4,096 invocations work, each on 64 elements or more. */
function chunksFor(outputs: number, length: number): number {
  return Math.max(1, Math.min(Math.ceil(4096 / outputs), Math.floor(length / 64)));
}

/** Sum over `dims` (sorted, counted from the front), times `scale`. The result keeps no summed dimension. */
function sumOver(x: Tensor, dims: readonly number[], scale: number, dtype: Dtype): Tensor {
  const kept = x.shape.map((_, i) => i).filter((i) => !dims.includes(i));
  const shape = kept.map((i) => x.shape[i]!);
  const summed = dims.map((i) => x.shape[i]!);
  const outer = mergeDimensions(shape, [contiguousStrides(shape), kept.map((i) => x.strides[i]!)]);
  const inner = mergeDimensions(summed, [contiguousStrides(summed), dims.map((i) => x.strides[i]!)]);
  if (inner.shape.length === 0) {
    inner.shape.push(1);
    inner.strides[1]!.push(0);
  }
  const outputs = numel(shape);
  const length = numel(summed);
  const chunks = chunksFor(outputs, length);
  const float = isFloating(x.dtype);
  const accumulator = float ? "f32" : x.dtype === "u32" || x.dtype === "bool" ? "u32" : "i32";
  const last = chunks === 1;
  const part: Dtype = last ? dtype : accumulator;
  const y = Tensor.empty(x.device, last ? shape : [chunks, ...shape], part);
  if (outputs > 0) {
    x.device.run(kernel, {
      buffers: [x.storage.buffer, y.storage.buffer],
      params: [
        outputs,
        length,
        chunks,
        Math.ceil(length / chunks),
        outer.shape.length,
        inner.shape.length,
        x.offset,
        f32(last ? scale : 1),
        ...eight(outer.shape, 1),
        ...eight(outer.strides[1]!, 0),
        ...eight(inner.shape, 1),
        ...eight(inner.strides[1]!, 0),
      ],
      grid: gridFor(outputs * chunks, 64),
      specialisation: {
        types: { X: x.dtype, Y: part },
        text: `alias Accumulator = ${accumulator};\nfn scaled(v: Accumulator) -> Accumulator { return ${
          float ? "v * params.scale" : "v"
        }; }`,
      },
    });
  }
  return last ? y : sumOver(y, [0], scale, dtype);
}

interface SumAttributes {
  readonly dims: readonly number[];
  readonly keepdim: boolean;
  readonly mean: boolean;
}

/** Shape of a reduction over `dims`. */
export function reducedShape(shape: Shape, dims: readonly number[], keepdim: boolean): number[] {
  return shape.flatMap((size, i) => (dims.includes(i) ? (keepdim ? [1] : []) : [size]));
}

/** Puts the reduced dimensions back with size 1 and expands them: the backward of a sum. */
export function expandReduced(dy: Tensor, shape: Shape, dims: readonly number[]): Tensor {
  return dy.reshape(reducedShape(shape, dims, true)).expand(shape);
}

const sumOp = defineOp<SumAttributes>({
  name: "sum",
  forward(_ctx, [x], { dims, keepdim, mean }) {
    const count = dims.reduce((product, d) => product * x!.shape[d]!, 1);
    const dtype = isFloating(x!.dtype) ? x!.dtype : x!.dtype === "bool" ? "i32" : x!.dtype;
    const y = sumOver(x!, dims, mean ? 1 / count : 1, dtype);
    return y.reshape(reducedShape(x!.shape, dims, keepdim));
  },
  backward(ctx, [dy]) {
    const shape = ctx.inputShapes[0]!;
    const { dims, mean } = ctx.attributes;
    const count = dims.reduce((product, d) => product * shape[d]!, 1);
    return [expandReduced(mean ? dy!.mul(1 / count) : dy!, shape, dims)];
  },
});

/** Sum over `dim` (a number, several, or null for all), as `torch.sum`. bool counts as i32. */
export function sum(x: Tensor, dim: number | readonly number[] | null = null, keepdim = false): Tensor {
  return sumOp([x], { dims: normalizeDims("sum", dim, x.rank), keepdim, mean: false });
}

/** Mean over `dim`, as `torch.mean`. */
export function mean(x: Tensor, dim: number | readonly number[] | null = null, keepdim = false): Tensor {
  return sumOp([x], { dims: normalizeDims("mean", dim, x.rank), keepdim, mean: true });
}

/** Sums a broadcast result back to the shape of the operand: the backward of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (x.rank === shape.length && shape.every((size, i) => size === x.shape[i])) return x;
  const lead = x.rank - shape.length;
  const dims = x.shape
    .map((_, i) => i)
    .filter((i) => i < lead || (shape[i - lead] === 1 && x.shape[i] !== 1));
  return sum(x, dims).reshape(shape);
}
