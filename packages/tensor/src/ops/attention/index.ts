import { defineOp } from "../../autograd/define-op.js";
import type { Dtype } from "../../dtype.js";
import { DtypeError, LimitError, ShapeError, ValueError } from "../../errors.js";
import { defaultGenerator, type Generator, NO_RANGE, type RandomRange } from "../../random/generator.js";
import { formatShape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { type Attributes, type Call, launch, launchDelta, type Sizes, sizesOf } from "./launch.js";

const OP = "scaledDotProductAttention";

/** Options of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /**
   * Which keys a query may attend: bool (`true` = attend), or f32/f16 that is added to the scaled scores (below -3e38 hides
   * the key, as -Infinity does). Any shape that broadcasts to [B, H, L, S]. It gets no gradient.
   */
  mask?: Tensor | null;
  /**
   * Packed sequences, as flash-attn's `cu_seqlens`: i32 [N + 1] on the device, where in the rows of q, k and v each of N sequences
   * begins, then where the last ends: [0, 5, 12] for lengths 5 and 7. A token attends to the tokens of its own sequence only, and
   * no work is done for others. B is 1, L = S = tokens of the batch; what lies behind the last sequence (the batch is padded to a
   * bucket) gives zeros and has no gradient. Sequences may be empty. Not together with `mask`.
   */
  cuSeqlens?: Tensor | null;
  /** Query i attends to keys 0 to i only (with `cuSeqlens`: of its sequence; as in PyTorch, counted from the first query also where L != S). */
  isCausal?: boolean;
  /** Factor of the scores; 1 / sqrt(D) if left out. */
  scale?: number | null;
  /** Probability with which a weight is set to 0 (the others grow by 1 / (1 - p)); give 0 outside of training. Rounded to 1/65536. */
  dropoutP?: number;
  /** Where dropout takes its random numbers from; the device's default generator if left out. */
  generator?: Generator;
}

/**
 * [B, H, rows, D] in f32 for a result, in the memory order of `like`. If that is a view of a projection, [B, rows, H, D] in memory, then
 * so is the result, and neither joining the heads afterwards nor the projection's backward copies anything.
 */
function emptyLike(like: Tensor, { B, H, L, S, D }: Sizes, rows: number): Tensor {
  const headsInside = like.strides[1]! < like.strides[2]!;
  const shape = headsInside ? [B, rows, H, D] : [B, H, rows, D];
  // Where there is nothing to attend to no kernel runs, and the result is zero.
  const made =
    L === 0 || S === 0 || D === 0 ? Tensor.zeros(like.device, shape) : Tensor.empty(like.device, shape);
  return headsInside ? made.transpose(1, 2) : made;
}

/** `x.to(dtype)` that keeps the memory order of `emptyLike`. */
function cast(x: Tensor, dtype: Dtype): Tensor {
  if (x.dtype === dtype) return x;
  return x.isContiguous ? x.to(dtype) : x.transpose(1, 2).to(dtype).transpose(1, 2);
}

const attention = defineOp<Attributes, Tensor[]>({
  name: OP,
  forward(ctx, [q, k, v, mask = null], attributes) {
    const sizes = sizesOf(q!.shape, k!.shape);
    const { B, H, L, S, D } = sizes;
    const sums = emptyLike(q!, sizes, L);
    const logsumexp = Tensor.empty(ctx.device, [B, H, L]);
    if (L > 0 && S > 0 && D > 0)
      launch("forward", { attributes, q: q!, k: k!, v: v!, mask }, [], [sums, logsumexp]);
    const y = cast(sums, q!.dtype);
    ctx.saveForBackward(q!, k!, v!, y, logsumexp, ...(mask ? [mask] : []));
    return [y];
  },
  backward(ctx, [dy]) {
    const { attributes } = ctx;
    const [q, k, v, y, logsumexp, mask = null] = ctx.savedTensors as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor?,
    ];
    const sizes = sizesOf(q.shape, k.shape);
    const { L, S, D } = sizes;
    const dq = ctx.needsInputGrad[0] ? emptyLike(q, sizes, L) : null;
    const wanted = ctx.needsInputGrad[1] || ctx.needsInputGrad[2];
    const dk = wanted ? emptyLike(k, sizes, S) : null;
    const dv = wanted ? emptyLike(k, sizes, S) : null;
    if (L > 0 && S > 0 && D > 0) {
      const whole: Call = { attributes, q, k, v, mask, g: dy!.to(q.dtype) };
      const { statistics, g } = launchDelta(whole, y, logsumexp);
      const call: Call = { ...whole, g };
      if (dq && dk && dv) launch("backward", call, [statistics], [dq, dk, dv]);
      else if (dq) launch("dq", call, [statistics], [dq]);
      else if (dk && dv) launch("dkv", call, [statistics], [dk, dv]);
    }
    return [dq, dk, dv].map((d, i) => (d && ctx.needsInputGrad[i] ? cast(d, q.dtype) : null));
  },
});

/**
 * Scaled dot-product attention, softmax(q kᵀ · scale + mask) v, without the L x S matrix in memory: forward keeps the output and
 * one number a query (logsumexp), backward computes the weights again. As `torch.nn.functional.scaled_dot_product_attention`.
 *
 * Letters: B batch, H heads, L queries, S keys, D width of a head.
 * @param q [B, H, L, D], f32, or f16 (sums and softmax in f32)
 *   With `cuSeqlens`: [1, H, T, D], such as x.reshape([T, H, D]).transpose(0, 1).unsqueeze(0) of a projection x [T, H * D].
 * @param k [B, H, S, D]
 * @param v [B, H, S, D]
 * @returns [B, H, L, D] in the dtype of `q`, in the memory order of q: where q, k, v are views x.reshape([B, T, H, D]).transpose(1, 2) of
 *   projections, neither they nor `y.transpose(1, 2).reshape([B, L, H * D])` nor the gradients are copied. A query that may
 *   attend to no key gives zeros and has no gradient.
 * @throws ShapeError if the shapes do not fit, DtypeError for other dtypes, ValueError for a dropout probability outside [0, 1)
 *
 * Error: at most 2e-6 from float64 for f32 inputs of about N(0, 1), D = 64, S <= 512. Memory: O(B H L D).
 * Source: Dao, "FlashAttention-2", 2023, algorithms 1 and 2.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const { mask = null, cuSeqlens = null, isCausal = false, dropoutP = 0 } = options;
  check(q, k, v, mask);
  if (cuSeqlens) checkPacked(q, k, mask, cuSeqlens);
  if (!(dropoutP >= 0 && dropoutP < 1))
    throw new ValueError(`${OP}: dropoutP is ${dropoutP}, expected 0 <= p < 1.`);
  const { B, H, L, S, D } = sizesOf(q.shape, k.shape);
  const dropBelow = Math.round(dropoutP * 65536);
  const generator = options.generator ?? defaultGenerator(q.device);
  const random: RandomRange = dropBelow > 0 ? generator.next(B * H * L * Math.ceil(S / 8)) : NO_RANGE;
  const scale = options.scale ?? 1 / Math.sqrt(D);
  const masks = cuSeqlens ? [cuSeqlens] : mask ? [mask] : [];
  const packed = cuSeqlens !== null;
  return attention([q, k, v, ...masks], { scale, isCausal, dropBelow, random, packed })[0]!;
}

function check(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null): void {
  const found = `q ${formatShape(q.shape)}, k ${formatShape(k.shape)}, v ${formatShape(v.shape)}`;
  if (q.rank !== 4 || k.rank !== 4 || v.rank !== 4) {
    throw new ShapeError(
      `${OP}: expected [batch, heads, length, width], got ${found}. Split the heads with x.reshape([B, T, H, D]).transpose(1, 2).`,
    );
  }
  const { B, H, L, S, D } = sizesOf(q.shape, k.shape);
  for (const [name, x] of [
    ["k", k],
    ["v", v],
  ] as const) {
    if (x.shape[0] !== B || x.shape[1] !== H || x.shape[2] !== S || x.shape[3] !== D) {
      throw new ShapeError(
        `${OP}: shapes do not fit: ${found}. ${name} must be [${B}, ${H}, ${S}, ${D}]: batch, heads and width of q, length of k.`,
      );
    }
  }
  const floats: readonly Dtype[] = ["f32", "f16"];
  if (![q, k, v].every((x) => floats.includes(x.dtype) && x.dtype === q.dtype)) {
    throw new DtypeError(
      `${OP}: q is ${q.dtype}, k is ${k.dtype}, v is ${v.dtype}; all three must be f32, or all f16. Convert with .to("f32").`,
    );
  }
  if (Math.max(B, H) > 65535)
    throw new LimitError(
      `${OP}: ${found}: at most 65,535 batch entries and heads in one call. Split the batch.`,
    );
  if (!mask) return;
  const fits =
    mask.rank <= 4 && mask.shape.every((size, i) => size === 1 || size === [B, H, L, S][i + 4 - mask.rank]);
  if (!fits) {
    throw new ShapeError(
      `${OP}: the mask ${formatShape(mask.shape)} does not broadcast to [batch, heads, queries, keys] = [${B}, ${H}, ${L}, ${S}]. ` +
        "A padding mask [B, S] becomes one with mask.reshape([B, 1, 1, S]).",
    );
  }
  if (mask.dtype !== "bool" && !floats.includes(mask.dtype)) {
    throw new DtypeError(
      `${OP}: the mask is ${mask.dtype}; it must be bool (true = attend) or float. Convert it with .to("bool").`,
    );
  }
  if (mask.requiresGrad) throw new ValueError(`${OP}: the mask gets no gradient; pass mask.detach().`);
}

function checkPacked(q: Tensor, k: Tensor, mask: Tensor | null, cuSeqlens: Tensor): void {
  const found = `cuSeqlens ${cuSeqlens.dtype} ${formatShape(cuSeqlens.shape)}, q ${formatShape(q.shape)}, k ${formatShape(k.shape)}`;
  if (mask)
    throw new ValueError(`${OP}: cuSeqlens and mask together: packed sequences have no padding to mask.`);
  if (cuSeqlens.dtype !== "i32")
    throw new DtypeError(`${OP}: ${found}: cuSeqlens must be i32. Convert it with .to("i32").`);
  if (cuSeqlens.rank !== 1 || cuSeqlens.shape[0]! < 2)
    throw new ShapeError(
      `${OP}: ${found}: cuSeqlens must be [sequences + 1], such as [0, 5, 12] for lengths 5 and 7.`,
    );
  if (q.shape[0] !== 1 || q.shape[2] !== k.shape[2]) {
    throw new ShapeError(
      `${OP}: ${found}: with cuSeqlens all are [1, heads, tokens, width]. From [tokens, heads * width]: ` +
        "x.reshape([T, H, D]).transpose(0, 1).unsqueeze(0).",
    );
  }
}
