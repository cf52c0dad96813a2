import { f32, type Kernel, live } from "../../device/kernel.js";
import { choose } from "../../kernels/ladder.js";
import { Tensor } from "../../tensor.js";
import finishSource from "./finish.wgsl";
import { clipLadder, gradNormLadder, problemOf } from "./ladder.js";

const finish: Kernel = { name: "grad_norm/finish", source: finishSource };

/** Largest norm that a kernel is told of: none is larger. */
const UNLIMITED = 3.4e38;

/** What the norm of the gradients leads to: 0-d f32 tensors on the GPU, parts of one. */
export interface GradientNorm {
  /** Norm of the gradients, divided by the loss scale. */
  readonly norm: Tensor;
  /** What to multiply the gradients by: min(1, maxNorm / (norm + 1e-6)), divided by the loss scale. */
  readonly coefficient: Tensor;
  /** 1 if a gradient (or the sum of their squares) is infinite or NaN, else 0. */
  readonly foundInf: Tensor;
}

/**
 * Norm of many gradients as one vector, and the coefficient that clips it.
 * @param gradients f32, without gaps, at the start of their memory
 * @param scale 0-d f32 tensor: the gradients are those of a loss times it
 * @param maxNorm read anew at each replay of a captured step; may be infinite
 */
export function normOf(gradients: readonly Tensor[], scale: Tensor, maxNorm: () => number): GradientNorm {
  const { device } = scale;
  const { step } = choose(device, gradNormLadder, problemOf(gradients));
  const partial = step.launch(device, gradients);
  const y = Tensor.empty(device, [4]);
  device.run(finish, {
    buffers: [partial, scale, y].map((tensor) => tensor.storage.buffer),
    params: [partial.numel, scale.offset, live(() => f32(Math.min(maxNorm(), UNLIMITED)))],
    grid: [1, 1, 1],
  });
  partial.dispose();
  const part = (offset: number) => new Tensor(y.storage, [], [], offset, "f32");
  const found = { norm: part(0), coefficient: part(1), foundInf: part(2) };
  y.dispose();
  return found;
}

/** Multiplies gradients (f32, without gaps, at the start of their memory) by a 0-d f32 tensor, in place. */
export function scaleInPlace(gradients: readonly Tensor[], factor: Tensor): void {
  const { device } = factor;
  choose(device, clipLadder, problemOf(gradients)).step.launch(device, gradients, factor);
  for (const gradient of gradients) gradient.storage.version++;
}
