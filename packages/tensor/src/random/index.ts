/**
 * Random tensors. All of them draw from a counter-based generator (Philox4x32-10): the same seed and the same calls give
 * the same numbers, and a saved generator state continues exactly.
 * @module
 */
import type { Device } from "../device/device.js";
import { expectDtype } from "../dtype.js";
import { ValueError } from "../errors.js";
import { launch } from "../ops/elementwise/launch.js";
import type { Shape } from "../shape.js";
import { Tensor, type TensorOptions } from "../tensor.js";
import { type Distribution, fillRandom } from "./fill-random.js";
import { defaultGenerator, Generator, randomBlock } from "./generator.js";
import { belowOf } from "./philox.js";
import philox from "./philox.wgsl";

export {
  defaultGenerator,
  Generator,
  type GeneratorState,
  manualSeed,
  type RandomRange,
} from "./generator.js";

/**
 * WGSL of `philox4x32(counter, key)`, `random4(seed, offset, index)` and `uniform4(bits)`, for the `snippets` of a kernel
 * that needs random numbers. Its text tells how to pass the range that `generator.next(blocks)` reserves.
 */
export const philoxSnippet: string = philox;

/** Options of the functions that make random tensors. */
export interface RandomOptions extends TensorOptions {
  /** Where the numbers come from. Default: the device's generator, see `manualSeed`. */
  generator?: Generator;
}

function make(
  op: string,
  device: Device,
  shape: Shape,
  distribution: Distribution,
  options: RandomOptions,
): Tensor {
  const y = Tensor.empty(device, [...shape], options.dtype ?? "f32");
  fillRandom(op, y, distribution, options.generator);
  return y.requiresGrad_(options.requiresGrad ?? false);
}

/**
 * Uniform numbers in [0, 1), multiples of 2^-24 (f16: of 2^-11), as `torch.rand`. Bit for bit the same on every adapter.
 * @param options.dtype f32 (default) or f16
 */
export function rand(device: Device, shape: Shape, options: RandomOptions = {}): Tensor {
  return make("rand", device, shape, { kind: "uniform", from: 0, to: 1 }, options);
}

/**
 * Normal numbers of mean 0 and deviation 1, as `torch.randn`, by Box and Muller's method. The same on one adapter; between
 * adapters they differ by the rounding of the driver's log, sin and cos.
 * @param options.dtype f32 (default) or f16
 */
export function randn(device: Device, shape: Shape, options: RandomOptions = {}): Tensor {
  return make("randn", device, shape, { kind: "normal", mean: 0, std: 1 }, options);
}

/**
 * Whole numbers low ≤ v < high, as `torch.randint`. The bias is below (high - low) / 2^32.
 * @param options.dtype i32 (default), u32, f32 or f16
 * @throws ValueError unless low < high, both in the range of i32
 */
export function randint(
  device: Device,
  low: number,
  high: number,
  shape: Shape,
  options: RandomOptions = {},
): Tensor {
  const fits = (v: number) => Number.isInteger(v) && v >= -(2 ** 31) && v <= 2 ** 31;
  if (!fits(low) || !fits(high) || low >= high) {
    throw new ValueError(
      `randint: ${low} and ${high} are no range: expected whole numbers low < high from -2^31 to 2^31.`,
    );
  }
  return make(
    "randint",
    device,
    shape,
    { kind: "integers", low, range: high - low },
    { dtype: "i32", ...options },
  );
}

/**
 * The numbers 0 … n-1 in random order, each order equally likely up to n / 2^32 a draw. Made on the host (Fisher and
 * Yates), since it is there that data are shuffled: `Tensor.from(device, randperm(n), [n])` puts it on the GPU.
 * @param generator default: the stream of seed 0
 */
export function randperm(n: number, generator: Generator = new Generator(0)): Int32Array {
  if (!Number.isInteger(n) || n < 0 || n > 2 ** 31)
    throw new ValueError(`randperm: ${n} is not a number of elements.`);
  const order = Int32Array.from({ length: n }, (_, i) => i);
  const range = generator.next(Math.ceil(n / 4));
  let words = randomBlock(range, 0);
  for (let i = 0; i < n - 1; i++) {
    if (i > 0 && i % 4 === 0) words = randomBlock(range, i / 4);
    const j = i + belowOf(words[i % 4]!, n - i);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  return order;
}

/**
 * 1 with the probability that `probabilities` (f32 or f16, each in [0, 1]) holds at that place, else 0, as `torch.bernoulli`.
 * @returns the shape and dtype of `probabilities`; no gradient
 */
export function bernoulli(probabilities: Tensor, options: { generator?: Generator } = {}): Tensor {
  expectDtype("bernoulli", "the probabilities", probabilities.dtype, ["f32", "f16"]);
  const { device, shape, dtype } = probabilities;
  const u = rand(device, shape, { generator: options.generator ?? defaultGenerator(device) });
  const y = launch({ name: "bernoulli", wgsl: "select(C(0.0), C(1.0), a < b)", result: dtype }, [
    u,
    probabilities,
  ]);
  u.dispose();
  return y;
}
