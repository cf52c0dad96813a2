import { f32, gridFor, type Kernel } from "../../device/kernel.js";
import { type Dtype, storageType } from "../../dtype.js";
import type { Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import lanes1 from "../rows/lanes-1.wgsl";
import lanes4 from "../rows/lanes-4.wgsl";
import { lanesFor } from "../rows/launch.js";
import columnsPart from "./backward/columns-part.wgsl";
import columnsTotal from "./backward/columns-total.wgsl";
import { chooseVariant } from "./variants.js";

/** Operands of a layer norm, without gaps: `x` `[..., length]`, the rest `[length]` or absent. */
export interface Operands {
  readonly x: Tensor;
  readonly residual: Tensor | null;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
}

const weightsAlias = (dtype: Dtype, lanes: 1 | 4) =>
  `alias Weights = ${lanes === 4 ? `vec4<${storageType(dtype)}>` : storageType(dtype)};`;

/**
 * y = (h - mean(h)) / sqrt(var(h) + eps) * weight + bias over rows of `length` elements, with h = x, or x + residual.
 * @param save whether backward will follow, so that a sum h has to be stored
 * @returns y; `stats` f32 `[rows, 2]`, mean and 1 / sqrt(var + eps) of each row; and h (undefined contents without `save`)
 */
export function normalise(
  { x, residual, weight, bias }: Operands,
  length: number,
  eps: number,
  save: boolean,
): { y: Tensor; stats: Tensor; h: Tensor } {
  const { device } = x;
  const variant = chooseVariant(device);
  const rows = length === 0 ? 0 : x.numel / length;
  const y = Tensor.empty(device, x.shape, x.dtype);
  const stats = Tensor.empty(device, [rows, 2], "f32");
  const h = residual ? Tensor.empty(device, save ? x.shape : [1], x.dtype) : x;
  const present = [x, residual, weight, bias].filter((tensor) => tensor !== null);
  const lanes = lanesFor(length, present);
  const offset = (tensor: Tensor | null) => (tensor?.offset ?? 0) / lanes;
  const buffer = (tensor: Tensor | null) => (tensor ?? x).storage.buffer;
  const sum = residual ? [residual.storage.buffer, h.storage.buffer] : [];
  device.run(variant.kernels[residual ? "forwardSum" : "forward"][lanes], {
    buffers: [x.storage.buffer, y.storage.buffer, stats.storage.buffer, buffer(weight), buffer(bias), ...sum],
    params: [
      rows,
      length / lanes,
      offset(x),
      offset(weight),
      offset(bias),
      offset(residual),
      f32(1 / length),
      f32(eps),
    ],
    grid: gridFor(rows, variant.rowsPerGroup),
    specialisation: {
      types: { T: x.dtype },
      constants: { WEIGHT: weight !== null, BIAS: bias !== null, SAVE: save },
      text: weightsAlias((weight ?? bias ?? x).dtype, lanes),
    },
  });
  return { y, stats, h };
}

/** Gradient of what was normalised, from that of y. */
export function inputGradient(
  h: Tensor,
  dy: Tensor,
  stats: Tensor,
  weight: Tensor | null,
  length: number,
): Tensor {
  const { device } = h;
  const variant = chooseVariant(device);
  const rows = length === 0 ? 0 : h.numel / length;
  const dx = Tensor.empty(device, h.shape, h.dtype);
  const lanes = lanesFor(length, weight ? [h, dy, weight] : [h, dy]);
  device.run(variant.kernels.backward[lanes], {
    buffers: [h, dy, stats, weight ?? h, dx].map((tensor) => tensor.storage.buffer),
    params: [
      rows,
      length / lanes,
      h.offset / lanes,
      dy.offset / lanes,
      (weight?.offset ?? 0) / lanes,
      f32(1 / length),
    ],
    grid: gridFor(rows, variant.rowsPerGroup),
    specialisation: {
      types: { T: h.dtype },
      constants: { WEIGHT: weight !== null },
      text: weightsAlias((weight ?? h).dtype, lanes),
    },
  });
  return dx;
}

const columnsKernels = {
  part: {
    1: { name: "layer_norm/columns-part/1", source: columnsPart, snippets: [lanes1] },
    4: { name: "layer_norm/columns-part/4", source: columnsPart, snippets: [lanes4] },
  },
  total: {
    1: { name: "layer_norm/columns-total/1", source: columnsTotal, snippets: [lanes1] },
    4: { name: "layer_norm/columns-total/4", source: columnsTotal, snippets: [lanes4] },
  },
} satisfies Record<string, Record<1 | 4, Kernel>>;

/** Invocations that the first of the two sums aims at: enough for a GPU, few enough that the second has little to add. */
const COLUMN_INVOCATIONS = 8192;

/** Gradients of weight and bias, in the shape and type they have. Deterministic: no atomics. */
export function affineGradients(
  h: Tensor,
  dy: Tensor,
  stats: Tensor,
  length: number,
  shape: Shape,
  dtype: Dtype,
): { weight: Tensor; bias: Tensor } {
  const { device } = h;
  const rows = length === 0 ? 0 : h.numel / length;
  const lanes = lanesFor(length, [h, dy]);
  const width = length / lanes;
  const wanted = Math.max(
    1,
    Math.min(Math.ceil(rows / 8), Math.ceil(COLUMN_INVOCATIONS / Math.max(width, 1))),
  );
  const blockRows = Math.ceil(rows / wanted);
  const blocks = blockRows === 0 ? 0 : Math.ceil(rows / blockRows);
  const parts = Tensor.empty(device, [blocks, 2, length], "f32");
  device.run(columnsKernels.part[lanes], {
    buffers: [h, dy, stats, parts].map((tensor) => tensor.storage.buffer),
    params: [rows, width, h.offset / lanes, dy.offset / lanes, blocks, blockRows],
    grid: gridFor(blocks * width, 64),
    specialisation: { types: { T: h.dtype } },
  });
  const weight = Tensor.empty(device, shape, dtype);
  const bias = Tensor.empty(device, shape, dtype);
  device.run(columnsKernels.total[lanes], {
    buffers: [parts, weight, bias].map((tensor) => tensor.storage.buffer),
    params: [width, blocks],
    grid: gridFor(width, 64),
    specialisation: { types: { T: h.dtype }, text: weightsAlias(dtype, lanes) },
  });
  return { weight, bias };
}
