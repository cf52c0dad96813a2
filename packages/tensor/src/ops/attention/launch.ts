import { f32, type ParamValue } from "../../device/kernel.js";
import { choose } from "../../kernels/ladder.js";
import type { RandomRange } from "../../random/generator.js";
import { broadcastStrides, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import {
  type AttentionProblem,
  deltaKernel,
  ladders,
  partsAskedFor,
  type Stage,
  specialisation,
} from "./variants.js";

/** What an attention is asked for besides its tensors. */
export interface Attributes {
  readonly scale: number;
  readonly isCausal: boolean;
  /** Of 65,536 random numbers, those that drop a weight. */
  readonly dropBelow: number;
  readonly random: RandomRange;
  /** True if the input after q, k, v is cu_seqlens and no mask. */
  readonly packed: boolean;
}

/** One attention: its inputs in one dtype, and the gradient of its output in backward. */
export interface Call {
  readonly attributes: Attributes;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  /** Mask, or cu_seqlens. */
  readonly mask: Tensor | null;
  readonly g?: Tensor;
}

/** Sizes by their letters: see `scaledDotProductAttention`. */
export interface Sizes {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
}

export function sizesOf(q: Shape, k: Shape): Sizes {
  return { B: q[0]!, H: q[1]!, L: q[2]!, S: k[2]!, D: q[3]! };
}

/** What the choice of a step may depend on. */
export function problemOf({ attributes, q, k, mask }: Call): AttentionProblem {
  const { isCausal, dropBelow, packed } = attributes;
  const masked = mask && !packed ? mask : null;
  return {
    ...sizesOf(q.shape, k.shape),
    dtype: q.dtype as "f32" | "f16",
    mask: (masked?.dtype ?? null) as AttentionProblem["mask"],
    maskPerQuery: masked !== null && masked.rank > 1 && masked.shape.at(-2) !== 1,
    isCausal,
    dropout: dropBelow > 0,
    packed,
  };
}

/** Offset and strides of batch, head and row, in elements; a dimension of one element has stride 0. */
function places(x: Tensor, unit: number): number[] {
  return [x.offset, ...[0, 1, 2].map((d) => (x.shape[d] === 1 ? 0 : x.strides[d]!))].map((n) => n / unit);
}

/** The tensor as a step can read it: rows without gaps, and on multiples of 4 for vec4 loads. A copy only where needed. */
function readable(x: Tensor, vec4: boolean): Tensor {
  const gaps = x.shape[3] !== 1 && x.strides[3] !== 1;
  return gaps || (vec4 && places(x, 1).some((n) => n % 4 !== 0)) ? x.contiguous() : x;
}

/** Places of a mask, broadcast, or of cu_seqlens. */
function maskPlaces({ q, k, mask, attributes }: Call): number[] {
  if (!mask) return [0, 0, 0, 0, 0];
  if (attributes.packed) return [mask.offset, 0, 0, 0, mask.strides[0]!];
  const { B, H, L, S } = sizesOf(q.shape, k.shape);
  return [mask.offset, ...broadcastStrides(mask.shape, mask.strides, [B, H, L, S])];
}

/** Number of packed sequences; 0 where none are. */
function sequencesOf({ attributes, mask }: Call): number {
  return attributes.packed ? mask!.shape[0]! - 1 : 0;
}

function params(call: Call, [out, out2]: readonly Tensor[], unit: number): ParamValue[] {
  const { attributes, q, k, v, g } = call;
  const { H, L, S, D } = sizesOf(q.shape, k.shape);
  return [
    H,
    L,
    S,
    D,
    ...places(q, unit),
    ...places(k, unit),
    ...places(v, unit),
    ...(g ? places(g, unit) : [0, 0, 0, 0]),
    ...maskPlaces(call),
    f32(attributes.scale),
    attributes.dropBelow,
    f32(65536 / (65536 - attributes.dropBelow)),
    ...attributes.random.params,
    ...places(out!, unit).slice(1),
    sequencesOf(call),
    ...(out2 ? places(out2, unit).slice(1) : []),
  ];
}

/** Products of [L, D] by [D, S] size that a stage makes, what it computes again included. */
const PRODUCTS: Readonly<Record<Stage, number>> = { forward: 2, dq: 3, dkv: 4, backward: 5 };

/** Floating-point operations of a stage. Packed sequences are taken to be of equal length: their lengths are on the GPU. */
export function flopOf(stage: Stage, { B, H, L, S, D }: Sizes, sequences = 1): number {
  return (2 * PRODUCTS[stage] * B * H * L * S * D) / sequences;
}

/**
 * Runs one stage with the step that `choose` picks. `read` are the tensors it reads after q, k, v, the mask and, in backward, g;
 * `made` those it writes: all laid out alike, in `backward` dq in its way and dk and dv in theirs.
 */
export function launch(stage: Stage, call: Call, read: readonly Tensor[], made: readonly Tensor[]): void {
  const { device } = call.q;
  const problem = problemOf(call);
  const { step } = choose(device, ladders[stage], problem);
  if (step.apart || (stage === "backward" && partsAskedFor(device))) {
    launch("dq", call, read, made.slice(0, 1));
    launch("dkv", call, read, made.slice(1));
    return;
  }
  const [q, k, v] = [call.q, call.k, call.v].map((x) => readable(x, step.vec4)) as [Tensor, Tensor, Tensor];
  const g = call.g && readable(call.g, step.vec4);
  // Without a mask the binding needs some buffer all the same; nothing reads it.
  const tensors = [q, k, v, call.mask ?? q, ...(g ? [g] : []), ...read, ...made];
  const sequences = sequencesOf(call);
  const bytes = tensors.reduce((sum, t) => sum + t.numel * (t.dtype === "f16" ? 2 : 4), 0);
  const rows = stage === "dkv" ? problem.S : problem.L;
  device.run(step.kernel(problem.dropout), {
    buffers: tensors.map((t) => t.storage.buffer),
    params: params({ ...call, q, k, v, ...(g ? { g } : {}) }, made, step.vec4 ? 4 : 1),
    grid:
      stage === "backward"
        ? [1, problem.H, call.attributes.packed ? sequences + 1 : problem.B]
        : [Math.ceil(rows / step.rows(device)), problem.H, problem.B],
    specialisation: specialisation(step, device, problem),
    cost: { flop: flopOf(stage, problem, Math.max(1, sequences)), bytes },
  });
}

/** First step of backward: (logsumexp, delta) of each query, [B, H, L, 2]. `call.g` must be there. */
export function launchDelta(call: Call, y: Tensor, logsumexp: Tensor): { statistics: Tensor; g: Tensor } {
  const { device } = call.q;
  const { B, H, L } = sizesOf(call.q.shape, call.k.shape);
  const g = readable(call.g!, false);
  const statistics = Tensor.empty(device, [B, H, L, 2]);
  device.run(deltaKernel, {
    buffers: [y, g, logsumexp, statistics].map((t) => t.storage.buffer),
    params: params({ ...call, g }, [y], 1),
    grid: [Math.ceil(L / 64), H, B],
    specialisation: { types: { T: call.q.dtype } },
  });
  return { statistics, g };
}
