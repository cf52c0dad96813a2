/**
 * Initial values of parameters, as `torch.nn.init`: each function overwrites a tensor in place with numbers of a generator
 * (the device's by default, see `manualSeed`) and returns it. The trailing underscore is PyTorch's mark of in-place work.
 *
 * The numbers are the generator's, not PyTorch's: distributions agree, bits do not.
 * @module
 */
import { ShapeError, ValueError } from "../errors.js";
import { type Distribution, fillRandom } from "../random/fill-random.js";
import type { Generator } from "../random/generator.js";
import { formatShape, type Shape } from "../shape.js";
import type { Tensor } from "../tensor.js";

function draw(
  op: string,
  tensor: Tensor,
  distribution: Distribution,
  generator: Generator | undefined,
): Tensor {
  fillRandom(op, tensor, distribution, generator);
  return tensor;
}

/** Uniform numbers in [from, to). */
export function uniform_(tensor: Tensor, from = 0, to = 1, generator?: Generator): Tensor {
  if (!(from <= to)) throw new ValueError(`uniform_: from ${from} to ${to} is no interval.`);
  return draw("uniform_", tensor, { kind: "uniform", from, to }, generator);
}

/** Normal numbers of the given mean and standard deviation. */
export function normal_(tensor: Tensor, mean = 0, std = 1, generator?: Generator): Tensor {
  if (!(std >= 0))
    throw new ValueError(`normal_: the standard deviation is ${std}; it must not be negative.`);
  return draw("normal_", tensor, { kind: "normal", mean, std }, generator);
}

/**
 * Normal numbers cut to [low, high] (by the inverse of the distribution function, so no number is drawn twice). The cuts
 * are absolute, not in deviations, as PyTorch's `a` and `b` are.
 */
export function truncNormal_(
  tensor: Tensor,
  mean = 0,
  std = 1,
  low = -2,
  high = 2,
  generator?: Generator,
): Tensor {
  if (!(std > 0) || !(low < high)) {
    throw new ValueError(
      `truncNormal_: needs std > 0 and low < high, got std ${std}, low ${low}, high ${high}.`,
    );
  }
  return draw("truncNormal_", tensor, { kind: "truncatedNormal", mean, std, low, high }, generator);
}

/** Every element `value`. */
export function constant_(tensor: Tensor, value: number): Tensor {
  return tensor.fill_(value);
}

/** Every element 0. */
export function zeros_(tensor: Tensor): Tensor {
  return tensor.fill_(0);
}

/** Every element 1. */
export function ones_(tensor: Tensor): Tensor {
  return tensor.fill_(1);
}

/** Activation after a layer, for `calculateGain` and Kaiming's initialisation. */
export type Nonlinearity = "linear" | "sigmoid" | "tanh" | "relu" | "leakyRelu" | "selu";

/** Factor by which an activation shrinks deviations, as `torch.nn.init.calculate_gain`. @param slope of leaky ReLU's negative part */
export function calculateGain(nonlinearity: Nonlinearity, slope = 0.01): number {
  switch (nonlinearity) {
    case "linear":
    case "sigmoid":
      return 1;
    case "tanh":
      return 5 / 3;
    case "relu":
      return Math.SQRT2;
    case "leakyRelu":
      return Math.sqrt(2 / (1 + slope * slope));
    case "selu":
      return 3 / 4;
  }
}

/** Inputs and outputs of one unit: dimension 1 and 0 of a weight, times the kernel's size for a convolution. */
function fans(op: string, shape: Shape): { fanIn: number; fanOut: number } {
  if (shape.length < 2) {
    throw new ShapeError(
      `${op}: a weight has at least 2 dimensions [out, in, …], this tensor is ${formatShape(shape)}. Use normal_ or zeros_ for a bias.`,
    );
  }
  const field = shape.slice(2).reduce((product, size) => product * size, 1);
  return { fanIn: shape[1]! * field, fanOut: shape[0]! * field };
}

/** Uniform in ±gain √(6 / (fanIn + fanOut)). Source: Glorot & Bengio 2010. @param tensor weight [out, in, …] */
export function xavierUniform_(tensor: Tensor, gain = 1, generator?: Generator): Tensor {
  const { fanIn, fanOut } = fans("xavierUniform_", tensor.shape);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(tensor, -bound, bound, generator);
}

/** Normal with deviation gain √(2 / (fanIn + fanOut)). Source: Glorot & Bengio 2010. @param tensor weight [out, in, …] */
export function xavierNormal_(tensor: Tensor, gain = 1, generator?: Generator): Tensor {
  const { fanIn, fanOut } = fans("xavierNormal_", tensor.shape);
  return normal_(tensor, 0, gain * Math.sqrt(2 / (fanIn + fanOut)), generator);
}

/** Options of Kaiming's initialisation, PyTorch's defaults. */
export interface KaimingOptions {
  /** Slope of the negative part of leaky ReLU; used with `nonlinearity: "leakyRelu"`. Default 0. */
  a?: number;
  /** Keep the variance of activations (`"fanIn"`, default) or of gradients. */
  mode?: "fanIn" | "fanOut";
  /** Default `"leakyRelu"`. */
  nonlinearity?: Nonlinearity;
  generator?: Generator;
}

function kaimingDeviation(op: string, tensor: Tensor, options: KaimingOptions): number {
  const fan = fans(op, tensor.shape)[options.mode ?? "fanIn"];
  return calculateGain(options.nonlinearity ?? "leakyRelu", options.a ?? 0) / Math.sqrt(fan);
}

/**
 * Uniform in ±gain √(3 / fan). `nn.Linear` of PyTorch starts with `a = √5`, which is ±1 / √fanIn.
 * Source: He et al. 2015. @param tensor weight [out, in, …]
 */
export function kaimingUniform_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingDeviation("kaimingUniform_", tensor, options);
  return uniform_(tensor, -bound, bound, options.generator);
}

/** Normal with deviation gain / √fan. Source: He et al. 2015. @param tensor weight [out, in, …] */
export function kaimingNormal_(tensor: Tensor, options: KaimingOptions = {}): Tensor {
  return normal_(tensor, 0, kaimingDeviation("kaimingNormal_", tensor, options), options.generator);
}
