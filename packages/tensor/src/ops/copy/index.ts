import { defineOp } from "../../autograd/define-op.js";
import type { Dtype } from "../../dtype.js";
import { isFloating } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import { launch } from "../elementwise/launch.js";

const cloneOp = defineOp<undefined>({
  name: "clone",
  forward: (_ctx, [x]) => launch({ name: "clone", wgsl: "x" }, [x!]),
  backward: (_ctx, [dy]) => [dy!],
});

/** A copy without gaps in new memory. */
export function clone(x: Tensor): Tensor {
  return cloneOp([x], undefined);
}

/** The tensor itself if its elements lie in row-major order without gaps, else a copy that does. */
export function contiguous(x: Tensor): Tensor {
  return x.isContiguous ? x : clone(x);
}

const castOp = defineOp<{ dtype: Dtype }>({
  name: "to",
  forward(_ctx, [x], { dtype }) {
    if (dtype === "bool") return launch({ name: "to", wgsl: "x != C(0)", condition: true }, [x!]);
    return launch({ name: "to", wgsl: "x", result: dtype }, [x!]);
  },
  backward(ctx, [dy]) {
    return [launch({ name: "to", wgsl: "x", result: ctx.inputDtypes[0]! }, [dy!])];
  },
});

/** The tensor in another element type; itself if it has it already. Floats become integers towards zero. */
export function to(x: Tensor, dtype: Dtype): Tensor {
  if (x.dtype === dtype) return x;
  if (!isFloating(dtype)) return castOp([x.detach()], { dtype });
  return castOp([x], { dtype });
}
