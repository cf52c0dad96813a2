import { f32, gridFor, type ParamValue } from "../../device/kernel.js";
import { type Dtype, storageType } from "../../dtype.js";
import { choose } from "../../kernels/ladder.js";
import { NO_RANGE, type RandomRange } from "../../random/generator.js";
import type { Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { lanesFor } from "../rows/launch.js";
import { layerNormBackwardLadder, layerNormColumnsLadder, layerNormLadder } from "./ladder.js";

/** Dropout of x before it is added to the residual. */
export interface BranchDropout {
  /** Probability of a zero. */
  readonly p: number;
  readonly range: RandomRange;
}

/** Operands of a layer norm, without gaps: `x` and `residual` `[..., length]`, `weight` and `bias` `[length]`, or absent. */
export interface Operands {
  readonly x: Tensor;
  readonly residual: Tensor | null;
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
  /** Only with a residual. */
  readonly dropout: BranchDropout | null;
}

const weightsAlias = (dtype: Dtype, lanes: 1 | 4) =>
  `alias Weights = ${lanes === 4 ? `vec4<${storageType(dtype)}>` : storageType(dtype)};`;

/** Parameters of the dropout, which every program has. */
function dropoutParams(dropout: BranchDropout | null): ParamValue[] {
  if (!dropout) return [...NO_RANGE.params, f32(0), f32(1)];
  const { p, range } = dropout;
  return [...range.params, f32(p), f32(p === 1 ? 0 : 1 / (1 - p))];
}

/**
 * y = (h - mean(h)) / sqrt(var(h) + eps) * weight + bias over rows of `length` elements, with h = x, x + residual, or
 * dropout(x) + residual.
 * @param save whether backward will follow, so that a sum h has to be stored
 * @returns y; `stats` f32 `[rows, 2]`, mean and 1 / sqrt(var + eps) of each row; and h (undefined contents without `save`)
 */
export function normalise(
  { x, residual, weight, bias, dropout }: Operands,
  length: number,
  eps: number,
  save: boolean,
): { y: Tensor; stats: Tensor; h: Tensor } {
  const { device, dtype } = x;
  const rows = length === 0 ? 0 : x.numel / length;
  const input = residual ? (dropout ? "dropped" : "sum") : "plain";
  const { step } = choose(device, layerNormLadder, { rows, length, dtype, input });
  // Numbers drawn at random are not drawn again in later passes over the row: the first stores the sum.
  const keep = save || dropout !== null;
  const y = Tensor.empty(device, x.shape, dtype);
  const stats = Tensor.empty(device, [rows, 2], "f32");
  const h = residual ? Tensor.empty(device, keep ? x.shape : [1], dtype) : x;
  const present = [x, residual, weight, bias].filter((tensor) => tensor !== null);
  const lanes = lanesFor(length, present);
  const offset = (tensor: Tensor | null) => (tensor?.offset ?? 0) / lanes;
  const buffer = (tensor: Tensor | null) => (tensor ?? x).storage.buffer;
  const sum = residual ? [residual.storage.buffer, h.storage.buffer] : [];
  device.run(step.programs[input][lanes], {
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
      ...dropoutParams(dropout),
    ],
    grid: gridFor(rows, step.rowsPerGroup(device)),
    specialisation: {
      types: { T: dtype },
      constants: {
        WEIGHT: weight !== null,
        BIAS: bias !== null,
        KEEP: keep,
        SUBGROUP: device.subgroupSize,
      },
      text: weightsAlias((weight ?? bias ?? x).dtype, lanes),
    },
  });
  return { y, stats, h };
}

/**
 * Gradient of what was normalised, from that of y: `dx`, which with dropout is dropped as x was, and `dresidual`, which is the
 * same tensor without dropout.
 * @param residual whether there was one, for the choice of the kernel
 * @param added in the shape and type of x, without gaps: added to dx; only without a residual
 */
export function inputGradient(
  { h, dy, stats, weight }: { h: Tensor; dy: Tensor; stats: Tensor; weight: Tensor | null },
  length: number,
  residual = false,
  dropout: BranchDropout | null = null,
  added: Tensor | null = null,
): { dx: Tensor; dresidual: Tensor } {
  const { device, dtype } = h;
  const rows = length === 0 ? 0 : h.numel / length;
  const ofOne = added ? "added" : "plain";
  const input = residual ? (dropout ? "dropped" : "sum") : ofOne;
  const { step } = choose(device, layerNormBackwardLadder, { rows, length, dtype, input });
  const dx = Tensor.empty(device, h.shape, dtype);
  const dresidual = dropout ? Tensor.empty(device, h.shape, dtype) : dx;
  const lanes = lanesFor(
    length,
    [h, dy, weight, added].filter((tensor) => tensor !== null),
  );
  const beside = added ?? (dropout ? dresidual : null);
  device.run(step.programs[input][lanes], {
    buffers: [h, dy, stats, weight ?? h, dx, ...(beside ? [beside] : [])].map((t) => t.storage.buffer),
    params: [
      rows,
      length / lanes,
      h.offset / lanes,
      dy.offset / lanes,
      (weight?.offset ?? 0) / lanes,
      f32(1 / length),
      ...dropoutParams(dropout),
      (added?.offset ?? 0) / lanes,
    ],
    grid: gridFor(rows, step.rowsPerGroup(device)),
    specialisation: {
      types: { T: dtype },
      constants: { WEIGHT: weight !== null, SUBGROUP: device.subgroupSize },
      text: weightsAlias((weight ?? h).dtype, lanes),
    },
  });
  return { dx, dresidual };
}

/** Gradients of weight and bias, in the shape and type they have. Deterministic: no atomics. */
export function affineGradients(
  { h, dy, stats }: { h: Tensor; dy: Tensor; stats: Tensor },
  length: number,
  shape: Shape,
  dtype: Dtype,
): { weight: Tensor; bias: Tensor } {
  const { device } = h;
  const rows = length === 0 ? 0 : h.numel / length;
  const { step } = choose(device, layerNormColumnsLadder, { rows, length, dtype: h.dtype, input: "plain" });
  const lanes = lanesFor(length, [h, dy]);
  const weight = Tensor.empty(device, shape, dtype);
  const bias = Tensor.empty(device, shape, dtype);
  const specialisation = { types: { T: h.dtype }, text: weightsAlias(dtype, lanes) };
  step.run({ h, dy, stats, dweight: weight, dbias: bias, rows, length, lanes, specialisation });
  return { weight, bias };
}
