import { defineOp } from "../../autograd/define-op.js";
import { expectDtype } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import { sumTo } from "../sum/index.js";
import { launch } from "./launch.js";

const whereOp = defineOp<undefined>({
  name: "where",
  forward(ctx, [condition, a, b]) {
    expectDtype("where", "the condition", condition!.dtype, ["bool"]);
    ctx.saveForBackward(condition!);
    return launch({ name: "where", wgsl: "select(c, b, a != C(0))", result: a!.dtype }, [condition!, a!, b!]);
  },
  backward(ctx, [dy]) {
    const condition = ctx.savedTensors[0]!;
    const pick = (wgsl: string) =>
      launch({ name: "where.backward", wgsl, result: dy!.dtype }, [condition, dy!]);
    return [
      null,
      ctx.needsInputGrad[1] ? sumTo(pick("select(C(0.0), b, a != C(0.0))"), ctx.inputShapes[1]!) : null,
      ctx.needsInputGrad[2] ? sumTo(pick("select(b, C(0.0), a != C(0.0))"), ctx.inputShapes[2]!) : null,
    ];
  },
});

/** `a` where `condition` (bool) is true, else `b`; all three broadcast. */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  return whereOp([condition, a, b], undefined);
}

const maskedFillOp = defineOp<{ value: number }>({
  name: "masked_fill",
  forward(ctx, [x, mask], { value }) {
    expectDtype("masked_fill", "the mask", mask!.dtype, ["bool"]);
    ctx.saveForBackward(mask!);
    return launch({ name: "masked_fill", wgsl: "select(a, C(s), b != C(0.0))", s: value }, [x!, mask!]);
  },
  backward(ctx, [dy]) {
    const mask = ctx.savedTensors[0]!;
    const kept = launch({ name: "masked_fill.backward", wgsl: "select(a, C(0.0), b != C(0.0))" }, [
      dy!,
      mask,
    ]);
    return [sumTo(kept, ctx.inputShapes[0]!), null];
  },
});

/** `x` with `value` where `mask` (bool, broadcast) is true. */
export function maskedFill(x: Tensor, mask: Tensor, value: number): Tensor {
  return maskedFillOp([x, mask], { value });
}
