import { defineOp } from "../../autograd/define-op.js";
import { f32, type ParamValue } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { DtypeError, LimitError, ShapeError, ValueError } from "../../errors.js";
import { defaultGenerator, type Generator, type RandomRange } from "../../random/generator.js";
import { broadcastStrides, formatShape, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { choose, deltaKernel, kernelOf, OP, type Stage, type Variant } from "./variants.js";

/** Options of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /**
   * Which keys a query may attend: bool (`true` = attend), or f32/f16 that is added to the scaled scores (below -3e38 hides
   * the key, as -Infinity does). Any shape that broadcasts to [B, H, L, S]. It gets no gradient.
   */
  mask?: Tensor | null;
  /** Query i attends to keys 0 to i only (as in PyTorch, counted from the first query also where L != S). */
  isCausal?: boolean;
  /** Factor of the scores; 1 / sqrt(D) if left out. */
  scale?: number | null;
  /** Probability with which a weight is set to 0 (the others grow by 1 / (1 - p)); give 0 outside of training. Rounded to 1/65536. */
  dropoutP?: number;
  /** Where dropout takes its random numbers from; the device's default generator if left out. */
  generator?: Generator;
}

interface Attributes {
  readonly scale: number;
  readonly isCausal: boolean;
  /** Of 65,536 random numbers, those that drop a weight. */
  readonly dropBelow: number;
  readonly random: RandomRange;
}

interface Sizes {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
}

/** Offset and strides of batch, head and row, in elements; a dimension of one element has stride 0. */
function places(x: Tensor, unit: number): number[] {
  return [x.offset, ...[0, 1, 2].map((d) => (x.shape[d] === 1 ? 0 : x.strides[d]!))].map((n) => n / unit);
}

/** The tensor as the variant can read it: rows without gaps, and on multiples of 4 for vec4 loads. A copy only where needed. */
function readable(x: Tensor, vec4: boolean): Tensor {
  const gaps = x.shape[3] !== 1 && x.strides[3] !== 1;
  return gaps || (vec4 && places(x, 1).some((n) => n % 4 !== 0)) ? x.contiguous() : x;
}

/**
 * [B, H, rows, D] for a result, in the memory order of `like`. If that is a view of a projection, [B, rows, H, D] in memory, then
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

interface Call {
  readonly sizes: Sizes;
  readonly attributes: Attributes;
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly mask: Tensor | null;
  /** Gradient of the output; absent in forward. */
  readonly g?: Tensor;
}

function params({ sizes, attributes, q, k, v, mask, g }: Call, out: Tensor, unit: number): ParamValue[] {
  const { B, H, L, S, D } = sizes;
  return [
    H,
    L,
    S,
    D,
    ...places(q, unit),
    ...places(k, unit),
    ...places(v, unit),
    ...(g ? places(g, unit) : [0, 0, 0, 0]),
    ...(mask ? [mask.offset, ...broadcastStrides(mask.shape, mask.strides, [B, H, L, S])] : [0, 0, 0, 0, 0]),
    f32(attributes.scale),
    attributes.dropBelow,
    f32(65536 / (65536 - attributes.dropBelow)),
    ...attributes.random,
    ...places(out, unit).slice(1),
  ];
}

/** Runs one stage. `made` are the tensors it writes, all laid out alike, `read` those it reads after q, k, v and the mask. */
function launch(
  stage: Stage,
  call: Call,
  variant: Variant,
  read: readonly Tensor[],
  made: readonly Tensor[],
): void {
  const { q, mask, sizes, attributes } = call;
  const { device } = q;
  const rows = stage === "dkv" ? sizes.S : sizes.L;
  device.run(kernelOf(variant, stage, attributes.dropBelow > 0), {
    // Without a mask the binding needs some buffer all the same; nothing reads it.
    buffers: [q, call.k, call.v, mask ?? q, ...read, ...made].map((t) => t.storage.buffer),
    params: params(call, made[0]!, variant.vec4 ? 4 : 1),
    grid: [Math.ceil(rows / variant.rows(device)), sizes.H, sizes.B],
    specialisation: {
      constants: {
        MASK: mask ? (mask.dtype === "bool" ? 1 : 2) : 0,
        // Only the subgroup step makes a difference of it; elsewhere it would just compile the same program twice.
        MASK_PER_QUERY: variant.vec4 && mask?.dtype === "bool" && mask.rank > 1 && mask.shape.at(-2) !== 1,
        CAUSAL: attributes.isCausal,
        DROPOUT: attributes.dropBelow > 0,
        ...variant.constants(device),
      },
      types: { M: mask?.dtype ?? "f32" },
    },
  });
}

function sizesOf(q: Shape, k: Shape): Sizes {
  return { B: q[0]!, H: q[1]!, L: q[2]!, S: k[2]!, D: q[3]! };
}

const attention = defineOp<Attributes, Tensor[]>({
  name: OP,
  forward(ctx, [q, k, v, mask = null], attributes) {
    const { device } = ctx;
    const sizes = sizesOf(q!.shape, k!.shape);
    const { B, H, L, S, D } = sizes;
    const dtype = q!.dtype;
    const y = emptyLike(q!, sizes, L);
    const logsumexp = Tensor.empty(device, [B, H, L]);
    const variant = choose(device, "forward", D);
    const [q32, k32, v32] = [q!, k!, v!].map((x) => readable(x.to("f32"), variant.vec4)) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    if (L > 0 && S > 0 && D > 0) {
      launch("forward", { sizes, attributes, q: q32, k: k32, v: v32, mask }, variant, [], [y, logsumexp]);
    }
    ctx.saveForBackward(q32, k32, v32, y, logsumexp, ...(mask ? [mask] : []));
    return [y.to(dtype)];
  },
  backward(ctx, [dy]) {
    const { device, attributes } = ctx;
    const [q, k, v, y, logsumexp, mask = null] = ctx.savedTensors as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor?,
    ];
    const sizes = sizesOf(q.shape, k.shape);
    const { B, H, L, S, D } = sizes;
    const dq = ctx.needsInputGrad[0] ? emptyLike(q, sizes, L) : null;
    const wanted = ctx.needsInputGrad[1] || ctx.needsInputGrad[2];
    const dk = wanted ? emptyLike(k, sizes, S) : null;
    const dv = wanted ? emptyLike(k, sizes, S) : null;
    if (L > 0 && S > 0 && D > 0) {
      const statistics = Tensor.empty(device, [B, H, L, 2]);
      const plain = readable(dy!.to("f32"), false);
      device.run(deltaKernel, {
        buffers: [y, plain, logsumexp, statistics].map((t) => t.storage.buffer),
        params: params({ sizes, attributes, q, k, v, mask, g: plain }, y, 1),
        grid: [Math.ceil(L / 64), H, B],
      });
      const run = (stage: Stage, made: readonly Tensor[]) => {
        const variant = choose(device, stage, D);
        const [q1, k1, v1, g] = [q, k, v, plain].map((x) => readable(x, variant.vec4)) as [
          Tensor,
          Tensor,
          Tensor,
          Tensor,
        ];
        launch(stage, { sizes, attributes, q: q1, k: k1, v: v1, mask, g }, variant, [g, statistics], made);
      };
      if (dq) run("dq", [dq]);
      if (dk && dv) run("dkv", [dk, dv]);
    }
    return [dq, dk, dv].map((d, i) => (d && ctx.needsInputGrad[i] ? d.to(ctx.inputDtypes[i]!) : null));
  },
});

/**
 * Scaled dot-product attention, softmax(q kᵀ · scale + mask) v, without the L x S matrix in memory: forward keeps the output and
 * one number a query (logsumexp), backward computes the weights again. As `torch.nn.functional.scaled_dot_product_attention`.
 *
 * Letters: B batch, H heads, L queries, S keys, D width of a head.
 * @param q [B, H, L, D], f32 or f16 (computed in f32)
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
  const { mask = null, isCausal = false, dropoutP = 0 } = options;
  check(q, k, v, mask);
  if (!(dropoutP >= 0 && dropoutP < 1))
    throw new ValueError(`${OP}: dropoutP is ${dropoutP}, expected 0 <= p < 1.`);
  const { B, H, L, S, D } = sizesOf(q.shape, k.shape);
  const dropBelow = Math.round(dropoutP * 65536);
  const generator = options.generator ?? defaultGenerator(q.device);
  const random: RandomRange = dropBelow > 0 ? generator.next(B * H * L * Math.ceil(S / 8)) : [0, 0, 0, 0];
  const scale = options.scale ?? 1 / Math.sqrt(D);
  return attention(mask ? [q, k, v, mask] : [q, k, v], { scale, isCausal, dropBelow, random })[0]!;
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
