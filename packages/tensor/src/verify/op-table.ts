import { scaledDotProductAttention } from "../ops/attention/index.js";
import { avgPool2d } from "../ops/avg-pool2d/index.js";
import { conv2d } from "../ops/conv2d/index.js";
import {
  type CrossEntropyOptions,
  crossEntropy,
  nllLoss,
  type Reduction,
} from "../ops/cross-entropy/index.js";
import { einsum } from "../ops/einsum/index.js";
import * as binary from "../ops/elementwise/binary.js";
import { where } from "../ops/elementwise/where.js";
import { embedding } from "../ops/embedding/index.js";
import { cat, stack } from "../ops/join/index.js";
import { layerNorm } from "../ops/layer-norm/index.js";
import { binaryCrossEntropyWithLogits, mseLoss } from "../ops/losses/index.js";
import { bmm, linear, matmul } from "../ops/matmul/index.js";
import { meanPool } from "../ops/mean-pool/index.js";
import { normalize } from "../ops/reduce/index.js";
import { logSoftmax, softmax } from "../ops/softmax/index.js";
import type { Tensor } from "../tensor.js";
import type { Attributes } from "./format.js";

/** Runs an operation on the inputs of a case (by argument name) and returns its results in the order of `outputs`. */
export type RunOp = (inputs: Readonly<Record<string, Tensor>>, attrs: Attributes) => Tensor | Tensor[];

type Operand = Tensor | number;

/** a OP b, where the attribute `other` or `left` puts a number on one side. */
const twoSided =
  (f: (a: Operand, b: Operand) => Tensor): RunOp =>
  ({ a, b }, attrs) => {
    if (attrs.has("other")) return f(a!, attrs.number("other"));
    if (attrs.has("left")) return f(attrs.number("left"), a!);
    return f(a!, b!);
  };

/** For operations in which the order of the operands does not matter, a number on the left moves to the right. */
const commutative = (f: (a: Tensor, b: Operand) => Tensor): RunOp =>
  twoSided((a, b) => (typeof a === "number" ? f(b as Tensor, a) : f(a, b)));

/** Function of one tensor without attributes. */
const ofX =
  (f: (x: Tensor) => Tensor): RunOp =>
  ({ x }) =>
    f(x!);

const swapLast = (x: Tensor, swap: boolean): Tensor => (swap ? x.transpose(-1, -2) : x);

const extreme =
  (name: "max" | "min"): RunOp =>
  ({ x }, attrs) => {
    const dim = attrs.numberOrNull("dim");
    if (dim === null) return x![name]();
    const { values, indices } = x![name](dim, attrs.flag("keepdim"));
    return [values, indices];
  };

const spread =
  (name: "var" | "std"): RunOp =>
  ({ x }, attrs) =>
    x![name](attrs.dims("dim"), { correction: attrs.number("correction"), keepdim: attrs.flag("keepdim") });

const reduction = (attrs: Attributes): Reduction => attrs.text("reduction") as Reduction;

const ofClasses = (weight: Tensor | undefined, attrs: Attributes): CrossEntropyOptions => ({
  weight: weight ?? null,
  ignoreIndex: attrs.number("ignore_index"),
  reduction: reduction(attrs),
});

/** How each operation of the reference set is called here. The keys are PyTorch's names. */
export const opTable: Readonly<Record<string, RunOp>> = {
  add: commutative(binary.add),
  sub: twoSided(binary.sub),
  mul: commutative(binary.mul),
  div: twoSided(binary.div),
  maximum: commutative(binary.maximum),
  minimum: commutative(binary.minimum),
  pow: ({ a, b }, attrs) => a!.pow(attrs.has("exponent") ? attrs.number("exponent") : b!),
  eq: twoSided((a, b) => binary.eq(a as Tensor, b)),
  lt: twoSided((a, b) => binary.lt(a as Tensor, b)),
  gt: twoSided((a, b) => binary.gt(a as Tensor, b)),

  neg: ofX((x) => x.neg()),
  abs: ofX((x) => x.abs()),
  exp: ofX((x) => x.exp()),
  log: ofX((x) => x.log()),
  sqrt: ofX((x) => x.sqrt()),
  rsqrt: ofX((x) => x.rsqrt()),
  square: ofX((x) => x.square()),
  tanh: ofX((x) => x.tanh()),
  sigmoid: ofX((x) => x.sigmoid()),
  relu: ofX((x) => x.relu()),
  silu: ofX((x) => x.silu()),
  erf: ofX((x) => x.erf()),
  gelu: ofX((x) => x.gelu()),
  gelu_tanh: ofX((x) => x.gelu({ approximate: "tanh" })),
  quick_gelu: ofX((x) => x.quickGelu()),
  clamp: ({ x }, attrs) => x!.clamp(attrs.numberOrNull("min"), attrs.numberOrNull("max")),
  where: ({ cond, a, b }) => where(cond!, a!, b!),
  masked_fill: ({ x, mask }, attrs) => x!.maskedFill(mask!, attrs.number("value")),

  sum: ({ x }, attrs) => x!.sum(attrs.dims("dim"), attrs.flag("keepdim")),
  mean: ({ x }, attrs) => x!.mean(attrs.dims("dim"), attrs.flag("keepdim")),
  max: extreme("max"),
  min: extreme("min"),
  argmax: ({ x }, attrs) => x!.argmax(attrs.numberOrNull("dim"), attrs.flag("keepdim")),
  prod: ({ x }, attrs) => x!.prod(attrs.numberOrNull("dim"), attrs.flag("keepdim")),
  var: spread("var"),
  std: spread("std"),
  cumsum: ({ x }, attrs) => x!.cumsum(attrs.number("dim")),
  norm: ({ x }, attrs) =>
    x!.norm(attrs.dims("dim"), { p: attrs.number("p"), keepdim: attrs.flag("keepdim") }),
  normalize: ({ x }, attrs) =>
    normalize(x!, { p: attrs.number("p"), dim: attrs.number("dim"), eps: attrs.number("eps") }),

  reshape: ({ x }, attrs) => x!.reshape(attrs.numbers("shape")),
  transpose: ({ x }, attrs) => x!.transpose(attrs.number("dim0"), attrs.number("dim1")),
  permute: ({ x }, attrs) => x!.permute(attrs.numbers("dims")),
  expand: ({ x }, attrs) => x!.expand(attrs.numbers("shape")),
  slice: ({ x }, attrs) => x!.slice(attrs.ranges("slices")),
  cat: (inputs, attrs) => cat(Object.values(inputs), attrs.number("dim")),
  stack: (inputs, attrs) => stack(Object.values(inputs), attrs.number("dim")),
  split: ({ x }, attrs) => x!.split(attrs.numberOrList("split_size_or_sections"), attrs.number("dim")),
  pad: ({ x }, attrs) => x!.pad(attrs.numbers("pad"), attrs.number("value")),
  flip: ({ x }, attrs) => x!.flip(attrs.numbers("dims")),
  tril: ({ x }, attrs) => x!.tril(attrs.number("diagonal")),
  triu: ({ x }, attrs) => x!.triu(attrs.number("diagonal")),

  embedding: ({ weight, ids }, attrs) =>
    embedding(weight!, ids!, { paddingIdx: attrs.numberOrNull("padding_idx") }),
  gather: ({ x, index }, attrs) => x!.gather(attrs.number("dim"), index!),
  scatter_add: ({ x, index, src }, attrs) => x!.scatterAdd(attrs.number("dim"), index!, src!),
  index_select: ({ x, index }, attrs) => x!.indexSelect(attrs.number("dim"), index!),

  matmul: ({ a, b }, attrs) =>
    matmul(swapLast(a!, attrs.flag("transpose_a")), swapLast(b!, attrs.flag("transpose_b"))),
  bmm: ({ a, b }) => bmm(a!, b!),
  linear: ({ x, weight, bias }) => linear(x!, weight!, bias ?? null),

  softmax: ({ x }, attrs) => softmax(x!, attrs.number("dim")),
  log_softmax: ({ x }, attrs) => logSoftmax(x!, attrs.number("dim")),
  layer_norm: ({ x, weight, bias }, attrs) =>
    layerNorm(x!, attrs.numbers("normalized_shape"), weight ?? null, bias ?? null, attrs.number("eps")),
  cross_entropy: ({ logits, target, weight }, attrs) =>
    crossEntropy(logits!, target!, {
      ...ofClasses(weight, attrs),
      labelSmoothing: attrs.number("label_smoothing"),
    }),
  nll_loss: ({ logp, target, weight }, attrs) => nllLoss(logp!, target!, ofClasses(weight, attrs)),
  bce_with_logits: ({ logits, target, pos_weight, weight }, attrs) =>
    binaryCrossEntropyWithLogits(logits!, target!, {
      posWeight: pos_weight ?? null,
      weight: weight ?? null,
      reduction: reduction(attrs),
    }),
  mse_loss: ({ input, target }, attrs) => mseLoss(input!, target!, { reduction: reduction(attrs) }),
  sdpa: ({ q, k, v, mask }, attrs) =>
    scaledDotProductAttention(q!, k!, v!, {
      mask: mask ?? null,
      isCausal: attrs.flag("is_causal"),
      scale: attrs.numberOrNull("scale"),
    }),
  conv2d: ({ x, weight, bias }, attrs) =>
    conv2d(x!, weight!, bias ?? null, {
      stride: attrs.pair("stride"),
      padding: attrs.pair("padding"),
      dilation: attrs.pair("dilation"),
      groups: attrs.number("groups"),
    }),
  avg_pool2d: ({ x }, attrs) =>
    avgPool2d(x!, {
      kernelSize: attrs.pair("kernel"),
      stride: attrs.pair("stride"),
      padding: attrs.pair("padding"),
      countIncludePad: attrs.flag("count_include_pad"),
    }),
  mean_pool: ({ x, mask }) => meanPool(x!, mask!),
  einsum: (inputs, attrs) => einsum(attrs.text("equation"), ...Object.values(inputs)),
};

/** Operations that only move data: their results must be equal to the reference in every bit. */
export const movesData: ReadonlySet<string> = new Set([
  ...[
    "reshape",
    "transpose",
    "permute",
    "expand",
    "slice",
    "cat",
    "stack",
    "split",
    "flip",
    "pad",
    "tril",
    "triu",
  ],
  ...["gather", "index_select", "embedding", "where", "masked_fill"],
]);
