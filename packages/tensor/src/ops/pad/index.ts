import { defineOp } from "../../autograd/define-op.js";
import { ShapeError, ValueError } from "../../errors.js";
import { contiguousStrides, formatShape, numel, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { slice, writeStrided } from "../views/index.js";

/** Entries to add (or, negative, to crop) before and after each dimension, outermost first. */
type Margins = readonly (readonly [before: number, after: number])[];

function padded(x: Tensor, margins: Margins, value: number): Tensor {
  const kept = slice(
    x,
    margins.map(([before, after], d) => [Math.max(0, -before), x.shape[d]! - Math.max(0, -after)]),
  );
  if (margins.every(([before, after]) => before <= 0 && after <= 0)) return kept;
  const shape = margins.map(([before, after], d) => x.shape[d]! + before + after);
  const y = Tensor.full(x.device, shape, value, { dtype: x.dtype });
  const strides = contiguousStrides(shape);
  const offset = margins.reduce((at, [before], d) => at + Math.max(0, before) * strides[d]!, 0);
  writeStrided(kept, y, strides, offset);
  return y;
}

const padOp = defineOp<{ margins: Margins; value: number }>({
  name: "pad",
  forward: (_ctx, [x], { margins, value }) => padded(x!, margins, value),
  // What was added is cropped again, what was cropped gets no gradient: padding by the opposite numbers with 0.
  backward(ctx, [dy]) {
    const opposite = ctx.attributes.margins.map(([before, after]) => [-before, -after] as const);
    return [padded(dy!, opposite, 0)];
  },
});

function marginsOf(shape: Shape, pads: readonly number[]): Margins {
  if (pads.length % 2 !== 0 || pads.length > 2 * shape.length) {
    throw new ValueError(
      `pad: [${pads.join(", ")}] must hold a pair (before, after) for at most the ${shape.length} dimensions of ` +
        `${formatShape(shape)}, the last dimension first.`,
    );
  }
  return shape.map((size, d) => {
    const at = 2 * (shape.length - 1 - d);
    const before = pads[at] ?? 0;
    const after = pads[at + 1] ?? 0;
    if (
      !Number.isInteger(before) ||
      !Number.isInteger(after) ||
      size + Math.min(before, 0) + Math.min(after, 0) < 0
    ) {
      throw new ShapeError(
        `pad: (${before}, ${after}) crops more than dimension ${d} of ${formatShape(shape)} has.`,
      );
    }
    return [before, after];
  });
}

/**
 * Surrounds a tensor with a constant, as `torch.nn.functional.pad` in its mode `constant`.
 * @param pads pairs (before, after), the last dimension first; negative numbers crop
 * @param value what is put around
 * @throws ValueError for a list of the wrong length, ShapeError where more is cropped than there is
 */
export function pad(x: Tensor, pads: readonly number[], value = 0): Tensor {
  const margins = marginsOf(x.shape, pads);
  if (numel(x.shape) > 0 && margins.every(([before, after]) => before === 0 && after === 0)) return x;
  return padOp([x], { margins, value });
}
