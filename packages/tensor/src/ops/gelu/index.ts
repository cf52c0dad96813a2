import { defineOp } from "../../autograd/define-op.js";
import { expectDtype } from "../../dtype.js";
import { choose, type Ladder } from "../../kernels/ladder.js";
import { Tensor } from "../../tensor.js";
import { type GeluProblem, type GeluStep, geluBackwardLadder, geluLadder } from "./ladder.js";

function run(ladder: Ladder<GeluProblem, GeluStep>, inputs: readonly Tensor[]): Tensor {
  const x = inputs[0]!;
  const output = Tensor.empty(x.device, x.shape, x.dtype);
  const aligned = inputs.every((input) => input.offset % 4 === 0);
  choose(x.device, ladder, { count: x.numel, dtype: x.dtype, aligned }).step.run(inputs, output);
  return output;
}

/** x F(x) for an x without gaps. */
export const geluValues = (x: Tensor): Tensor => run(geluLadder, [x]);

/** dy (F(x) + x F'(x)) for an x and a dy without gaps. */
export const geluGradient = (x: Tensor, dy: Tensor): Tensor => run(geluBackwardLadder, [x, dy]);

const geluOp = defineOp<undefined>({
  name: "gelu",
  forward(ctx, [given]) {
    const x = given!.contiguous();
    ctx.saveForBackward(x);
    return geluValues(x);
  },
  backward: (ctx, [dy]) => [geluGradient(ctx.savedTensors[0]!, dy!.contiguous())],
});

/**
 * x F(x) with F the normal distribution function, by erf: the exact form that BERT uses; `torch.nn.functional.gelu`.
 * @param x any shape, f32 or f16; integers are taken as f32
 * @returns the shape of `x`. Computed in f32, off by at most 4e-7 or 3e-7 of the value
 *
 * Backward keeps x: dx = dy (F(x) + x F'(x)). Source: Hendrycks & Gimpel 2016. Kernels: `ladder.ts`.
 * @throws DtypeError for bool
 */
export function gelu(x: Tensor): Tensor {
  expectDtype("gelu", "the input", x.dtype, ["f32", "f16", "i32", "u32"]);
  return geluOp([x.dtype === "i32" || x.dtype === "u32" ? x.to("f32") : x], undefined);
}
