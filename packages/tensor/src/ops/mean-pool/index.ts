import { defineOp } from "../../autograd/define-op.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { expectDtype } from "../../dtype.js";
import { ShapeError } from "../../errors.js";
import { formatShape, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import backwardSource from "./backward.wgsl";
import forwardSource from "./forward.wgsl";

const forwardKernel: Kernel = { name: "mean-pool/forward", source: forwardSource };
const backwardKernel: Kernel = { name: "mean-pool/backward", source: backwardSource };

function run(kernel: Kernel, from: Tensor, mask: Tensor, shape: Shape, features: number): Tensor {
  const [source, kept] = [from.contiguous(), mask.contiguous()];
  const to = Tensor.empty(from.device, shape, from.dtype);
  const [batch, tokens] = mask.shape as [number, number];
  from.device.run(kernel, {
    buffers: [source, kept, to].map((t) => t.storage.buffer),
    params: [batch, tokens, features, source.offset, kept.offset],
    grid: gridFor(batch * features, 64),
    specialisation: { types: { T: from.dtype, M: mask.dtype } },
  });
  return to;
}

const meanPoolOp = defineOp<undefined>({
  name: "mean_pool",
  forward(ctx, [x, mask]) {
    ctx.saveForBackward(mask!);
    const features = x!.shape[2]!;
    return run(forwardKernel, x!, mask!, [x!.shape[0]!, features], features);
  },
  backward(ctx, [dy]) {
    const shape = ctx.inputShapes[0]!;
    return [run(backwardKernel, dy!, ctx.savedTensors[0]!, shape, shape[2]!), null];
  },
});

/**
 * Mean of the kept tokens of each sentence, as sentence-transformers pools: Σ mask · x / max(Σ mask, 1e-9). A sentence
 * without any kept token gives zeros and gets no gradient. What stands at dropped positions has no influence, even NaN.
 * @param x [B, T, D] token embeddings, f32 or f16
 * @param mask [B, T], true or 1 = keep; numbers weigh the tokens. No gradient goes to it.
 * @returns [B, D]
 * @throws ShapeError if the mask is not one number a token
 */
export function meanPool(x: Tensor, mask: Tensor): Tensor {
  expectDtype("meanPool", "x", x.dtype, ["f32", "f16"]);
  if (x.rank !== 3 || mask.rank !== 2 || mask.shape[0] !== x.shape[0] || mask.shape[1] !== x.shape[1]) {
    throw new ShapeError(
      `meanPool: needs x [B, T, D] and mask [B, T], got ${formatShape(x.shape)} and ${formatShape(mask.shape)}.`,
    );
  }
  return meanPoolOp([x, mask.detach()], undefined);
}
