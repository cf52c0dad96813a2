import { defineOp } from "../../autograd/define-op.js";
import { expectDtype, promoteTypes } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import { sumTo } from "../sum/index.js";
import { launch } from "./launch.js";

const whereOp = defineOp<undefined>({
  name: "where",
  forward(ctx, [condition, a, b]) {
    expectDtype("where", "the condition", condition!.dtype, ["bool"]);
    ctx.saveForBackward(condition!);
    const result = promoteTypes(a!.dtype, b!.dtype);
    return launch({ name: "where", wgsl: "select(c, b, a != C(0))", result }, [condition!, a!, b!]);
  },
  backward(ctx, [dy]) {
    const condition = ctx.savedTensors[0]!;
    const part = (input: 1 | 2, wgsl: string) => {
      if (!ctx.needsInputGrad[input]) return null;
      const full = launch({ name: "where.backward", wgsl, result: ctx.inputDtypes[input]! }, [
        condition,
        dy!,
      ]);
      return sumTo(full, ctx.inputShapes[input]!);
    };
    return [null, part(1, "select(C(0.0), b, a != C(0.0))"), part(2, "select(b, C(0.0), a != C(0.0))")];
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
    return launch({ name: "masked_fill", wgsl: "select(a, C(s), b != C(0))", s: value }, [x!, mask!]);
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
