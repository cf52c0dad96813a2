import { defineOp } from "../../autograd/define-op.js";
import { expectDtype } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { formatShape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { indexAdd } from "../indexing/chains.js";
import { selectRows } from "../indexing/rows.js";

/** Options of `embedding`. */
export interface EmbeddingOptions {
  /** Row that gets no gradient; its value is used as any other. Negative counts from the end. Default: none. */
  paddingIdx?: number | null;
}

const embeddingOp = defineOp<{ paddingIdx: number | null }>({
  name: "embedding",
  forward(ctx, [weight, ids]) {
    ctx.saveForBackward(ids!);
    const [rows, width] = weight!.shape as [number, number];
    return selectRows(weight!.reshape([1, rows, width]), ids!).reshape([...ids!.shape, width]);
  },
  backward(ctx, [dy]) {
    const [rows, width] = ctx.inputShapes[0] as [number, number];
    const ids = ctx.savedTensors[0]!;
    const lines = dy!.reshape([1, ids.numel, width]);
    return [indexAdd(lines, ids, rows, [rows, width], ctx.attributes.paddingIdx), null];
  },
});

/**
 * Looks up rows of a table, as `torch.nn.functional.embedding`.
 *
 * The gradient of `weight` is dense: row v is the sum of the gradients of all places where `ids` is v, added in the order
 * of the places, so that two runs agree in every bit.
 * @param weight `[rows, width]`, f32 or f16
 * @param ids any shape, i32 or u32, in `[0, rows)`. The GPU cannot throw for others: their result is NaN
 * @returns `[...ids.shape, width]`
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
  return embeddingOp([weight, ids], { paddingIdx });
}
