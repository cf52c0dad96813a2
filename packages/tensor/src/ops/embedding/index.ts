import { loweredDtype } from "../../autograd/autocast.js";
import { defineOp } from "../../autograd/define-op.js";
import { type Dtype, expectDtype } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { choose } from "../../kernels/ladder.js";
import { formatShape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { selectRows } from "../indexing/rows.js";
import { type EmbeddingCall, embeddingBackwardLadder } from "./ladder.js";

/** Options of `embedding`. */
export interface EmbeddingOptions {
  /** Row that gets no gradient; its value is used as any other. Negative counts from the end. Default: none. */
  readonly paddingIdx?: number | null;
  /** Element type of the result, f32 or f16; default that of the table (f16 inside `autocast`), whose gradient is in the table's own type. */
  readonly dtype?: Dtype;
}

interface EmbeddingAttributes {
  readonly paddingIdx: number | null;
  readonly dtype: Dtype;
}

/** The gradient of the table. */
export function embeddingGradient(call: EmbeddingCall): Tensor {
  const [entries, width] = call.dy.shape as [number, number];
  const { dtype } = call.dy;
  const { step } = choose(call.dy.device, embeddingBackwardLadder, {
    rows: call.rows,
    width,
    entries,
    dtype,
  });
  return step.run(call);
}

const embeddingOp = defineOp<EmbeddingAttributes>({
  name: "embedding",
  forward(ctx, [weight, ids], { dtype }) {
    ctx.saveForBackward(ids!);
    const [rows, width] = weight!.shape as [number, number];
    const lines = selectRows(weight!.reshape([1, rows, width]), ids!, dtype);
    return lines.reshape([...ids!.shape, width]);
  },
  backward(ctx, [dy]) {
    if (!ctx.needsInputGrad[0]) return [null, null];
    const [rows, width] = ctx.inputShapes[0] as [number, number];
    const ids = ctx.savedTensors[0]!.contiguous();
    const lines = dy!.contiguous().reshape([ids.numel, width]);
    const { paddingIdx } = ctx.attributes;
    return [embeddingGradient({ dy: lines, ids, rows, paddingIdx, dtype: ctx.inputDtypes[0]! }), null];
  },
});

/**
 * Looks up rows of a table, as `torch.nn.functional.embedding`.
 *
 * The gradient of `weight` is dense: row v is the sum of the gradients of all places where `ids` is v, added in the order
 * of the places, so that two runs agree in every bit.
 * @param weight `[rows, width]`, f32 or f16
 * @param ids any shape, i32 or u32, in `[0, rows)`. The GPU cannot throw for others: their result is NaN
 * @returns `[...ids.shape, width]`, of `options.dtype`
 * @throws ShapeError if `weight` is not a matrix; DtypeError for ids that are not integers; ValueError for a `paddingIdx` outside the table
 */
export function embedding(weight: Tensor, ids: Tensor, options: EmbeddingOptions = {}): Tensor {
  expectDtype("embedding", "weight", weight.dtype, ["f32", "f16"]);
  expectDtype("embedding", "ids", ids.dtype, ["i32", "u32"]);
  if (weight.rank !== 2) {
    throw new ShapeError(`embedding: weight must be [rows, width], got ${formatShape(weight.shape)}.`);
  }
  const rows = weight.shape[0]!;
  const given = options.paddingIdx ?? null;
  const paddingIdx = given !== null && given < 0 ? given + rows : given;
  if (paddingIdx !== null && (!Number.isInteger(paddingIdx) || paddingIdx < 0 || paddingIdx >= rows)) {
    throw new ValueError(`embedding: paddingIdx ${given} is outside the ${rows} rows of weight.`);
  }
  const { dtype = loweredDtype(weight.device) ?? weight.dtype } = options;
  expectDtype("embedding", "the dtype asked for", dtype, ["f32", "f16"]);
  return embeddingOp([weight, ids], { paddingIdx, dtype });
}
