import { defineOp } from "../../autograd/define-op.js";
import { scope } from "../../autograd/modes.js";
import { f32, gridFor, type ParamValue } from "../../device/kernel.js";
import { expectDtype, isFloating } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { choose } from "../../kernels/ladder.js";
import { formatShape, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { logSoftmax } from "../softmax/index.js";
import { type CrossEntropyProblem, crossEntropyBackwardLadder, crossEntropyLadder } from "./ladder.js";
import total from "./total.wgsl";

/** What becomes of the losses of the rows: their (weighted) mean, their sum, or the losses themselves. */
export type Reduction = "mean" | "sum" | "none";

/** Options of `nllLoss`. */
export interface NllLossOptions {
  /** `[C]`, f32 or f16: how much each class counts. The mean divides by the sum of the targets' weights. */
  readonly weight?: Tensor | null;
  /** Rows with this target give no loss, no gradient, and do not count in the mean. Default -100. */
  readonly ignoreIndex?: number;
  /** Default "mean". */
  readonly reduction?: Reduction;
}

/** Options of `crossEntropy`. */
export interface CrossEntropyOptions extends NllLossOptions {
  /** Part of the target, in [0, 1], that is spread evenly over all classes. Default 0. */
  readonly labelSmoothing?: number;
}

/** What is computed, beside the operands. */
export interface LossAttributes {
  readonly weight: Tensor | null;
  readonly ignoreIndex: number;
  readonly reduction: Reduction;
  readonly labelSmoothing: number;
  readonly soft: boolean;
  readonly nll: boolean;
}

/** Operands of both programs, without gaps. */
export interface Operands {
  readonly x: Tensor;
  readonly labels: Tensor;
  readonly weight: Tensor | null;
}

const totalKernel = { name: "cross_entropy/total", source: total };

/** `[N, C, d...]` as rows of C classes that are `inner` apart. */
function cut(shape: Shape): { rows: number; classes: number; inner: number } {
  const inner = shape.slice(2).reduce((product, size) => product * size, 1);
  return { rows: shape[0]! * inner, classes: shape[1]!, inner };
}

/** What forward and backward share: the problem as a ladder sees it, and the call of its kernel. */
function parts({ x, labels, weight }: Operands, attributes: LossAttributes, dy: Tensor | null) {
  const { rows, classes, inner } = cut(x.shape);
  const { soft, nll, labelSmoothing, reduction } = attributes;
  const spread = soft || labelSmoothing > 0;
  const reduced = reduction !== "none";
  const problem: CrossEntropyProblem = { rows, classes, inner, dtype: x.dtype, spread, reduced };
  const params: ParamValue[] = [
    rows,
    classes,
    inner,
    x.offset,
    labels.offset,
    weight?.offset ?? 0,
    dy?.offset ?? 0,
    attributes.ignoreIndex,
    f32(labelSmoothing),
    f32(Number.NaN),
  ];
  return {
    problem,
    params,
    buffers: [x, labels, weight ?? x].map((tensor) => tensor.storage.buffer),
    types: { T: x.dtype, Label: labels.dtype, W: (weight ?? x).dtype },
    constants: { SOFT: soft, NLL: nll, WEIGHT: weight !== null, SPREAD: spread },
  };
}

/** What forward leaves: the loss (f32), and for backward the state of each row and the factor of the mean. */
export interface LossResult {
  readonly loss: Tensor;
  readonly state: Tensor;
  readonly scale: Tensor;
}

/** Losses of the rows, or their mean or sum. */
export function lossValues(operands: Operands, attributes: LossAttributes): LossResult {
  const { x } = operands;
  const { device } = x;
  const { problem, params, buffers, types, constants } = parts(operands, attributes, null);
  const { rows, reduced } = problem;
  const { step } = choose(device, crossEntropyLadder, problem);
  const state = Tensor.empty(device, [rows, 4], "f32");
  const scale = Tensor.empty(device, [1], "f32");
  const mean = { MEAN: attributes.reduction === "mean" };
  const run = (outputs: readonly Tensor[], grid: [number, number, number], more: Record<string, boolean>) =>
    device.run(step.kernels[1], {
      buffers: [...buffers, ...outputs.map((tensor) => tensor.storage.buffer)],
      params,
      grid,
      specialisation: { types, constants: { ...constants, ...more } },
    });
  if (step.whole) {
    const loss = Tensor.empty(device, [], "f32");
    run([state, loss, scale], [1, 1, 1], mean);
    return { loss, state, scale };
  }
  const losses = Tensor.empty(device, reduced ? [rows] : [x.shape[0]!, ...x.shape.slice(2)], "f32");
  const mass = Tensor.empty(device, [rows], "f32");
  run([state, losses, mass], gridFor(rows, step.rowsPerGroup(device)), {});
  if (!reduced) return { loss: losses, state, scale };
  const loss = Tensor.empty(device, [], "f32");
  device.run(totalKernel, {
    buffers: [losses, mass, loss, scale].map((tensor) => tensor.storage.buffer),
    params: [rows],
    grid: [1, 1, 1],
    specialisation: { constants: mean },
  });
  return { loss, state, scale };
}

/** Gradient of the logits from that of the loss, in the logits' type. */
export function lossGradient(
  operands: Operands,
  { state, scale }: Pick<LossResult, "state" | "scale">,
  dy: Tensor,
  attributes: LossAttributes,
): Tensor {
  const { x } = operands;
  const { device } = x;
  const { problem, params, buffers, types, constants } = parts(operands, attributes, dy);
  const { step } = choose(device, crossEntropyBackwardLadder, problem);
  const dx = Tensor.empty(device, x.shape, x.dtype);
  device.run(step.kernels[1], {
    buffers: [...buffers, ...[state, scale, dy, dx].map((tensor) => tensor.storage.buffer)],
    params,
    grid: gridFor(problem.rows, step.rowsPerGroup(device)),
    specialisation: { types, constants: { ...constants, REDUCED: problem.reduced } },
  });
  return dx;
}

const lossOp = defineOp<LossAttributes>({
  name: "cross_entropy",
  forward(ctx, [logits, target], attributes) {
    const x = logits!.contiguous();
    const labels = target!.contiguous();
    const weight = attributes.weight?.contiguous() ?? null;
    const { loss, state, scale } = lossValues({ x, labels, weight }, attributes);
    ctx.saveForBackward(x, labels, state, scale, ...(weight ? [weight] : []));
    return loss;
  },
  backward(ctx, [dy]) {
    if (!ctx.needsInputGrad[0]) return [null, null];
    const [x, labels, state, scale, weight] = ctx.savedTensors as [Tensor, Tensor, Tensor, Tensor, Tensor?];
    const operands = { x, labels, weight: weight ?? null };
    return [lossGradient(operands, { state, scale }, dy!.contiguous(), ctx.attributes), null];
  },
});

function checkWeight(name: string, weight: Tensor | null, classes: number): void {
  if (!weight) return;
  expectDtype(name, "the weight", weight.dtype, ["f32", "f16"]);
  if (weight.rank !== 1 || weight.shape[0] !== classes) {
    throw new ShapeError(
      `${name}: weight ${formatShape(weight.shape)} must hold one number for each of the ${classes} classes: [${classes}].`,
    );
  }
}

function checkOperands(
  name: string,
  logits: Tensor,
  target: Tensor,
  { weight = null, labelSmoothing = 0 }: CrossEntropyOptions,
  nll: boolean,
): void {
  expectDtype(name, nll ? "the log-probabilities" : "logits", logits.dtype, ["f32", "f16"]);
  if (logits.rank === 0)
    throw new ShapeError(`${name}: logits need a dimension of classes, got a 0-d tensor.`);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new ValueError(`${name}: labelSmoothing must be between 0 and 1, got ${labelSmoothing}.`);
  }
  const soft = !nll && isFloating(target.dtype);
  if (!soft) expectDtype(name, "the target (class ids)", target.dtype, ["i32", "u32"]);
  const { shape } = logits;
  const ids = shape.length === 1 ? [] : [shape[0]!, ...shape.slice(2)];
  const expected = soft ? shape : ids;
  if (formatShape(target.shape) !== formatShape(expected)) {
    const also = nll
      ? ""
      : soft
        ? `; class ids (i32) would be ${formatShape(ids)}`
        : `; probabilities (f32) would be ${formatShape(shape)}`;
    throw new ShapeError(
      `${name}: target ${formatShape(target.shape)} does not fit logits ${formatShape(shape)}: ` +
        `${soft ? "probabilities" : "class ids"} have the shape ${formatShape(expected)}${also}.`,
    );
  }
  checkWeight(name, weight, shape.length === 1 ? shape[0]! : shape[1]!);
}

function call(logits: Tensor, target: Tensor, options: CrossEntropyOptions, nll: boolean): Tensor {
  const { weight = null, ignoreIndex = -100, reduction = "mean", labelSmoothing = 0 } = options;
  const soft = isFloating(target.dtype);
  const single = logits.rank === 1;
  const attributes: LossAttributes = { weight, ignoreIndex, reduction, labelSmoothing, soft, nll };
  if (!single) return lossOp([logits, target], attributes);
  const y = lossOp([logits.unsqueeze(0), target.unsqueeze(0)], attributes);
  return reduction === "none" ? y.reshape([]) : y;
}

/** The same out of tensor operations, for probabilities that have a gradient of their own. */
function composed(logits: Tensor, target: Tensor, options: CrossEntropyOptions): Tensor {
  const { weight = null, reduction = "mean", labelSmoothing = 0 } = options;
  const dim = logits.rank === 1 ? 0 : 1;
  const classes = logits.shape[dim]!;
  let q = labelSmoothing > 0 ? target.mul(1 - labelSmoothing).add(labelSmoothing / classes) : target;
  if (weight) q = q.mul(weight.reshape([classes, ...new Array<number>(logits.rank - 1 - dim).fill(1)]));
  const losses = q
    .to("f32")
    .mul(logSoftmax(logits.to("f32"), dim))
    .sum(dim)
    .neg();
  if (reduction === "none") return losses;
  return reduction === "sum" ? losses.sum() : losses.mean();
}

/**
 * Cross entropy of logits and targets, as `torch.nn.functional.cross_entropy`, with its log-softmax in the same program.
 * Letters: N rows, C classes, d… further dimensions such as positions.
 * @param logits `[N, C]`, `[N, C, d…]` or `[C]`, f32 or f16
 * @param target class ids i32 or u32, of the logits' shape without C; or probabilities, of the logits' shape and floating.
 *   An id outside of [0, C) that is not `ignoreIndex` makes the loss NaN: check labels before they are uploaded.
 * @returns a 0-d tensor ("mean", "sum"), or the losses `[N, d…]` ("none"); f32 also for f16 logits, so that a loss may be scaled
 *
 * "mean" divides by the sum of the weights of the targets that are not ignored (NaN if there are none), with
 * probabilities by the number of rows. With label smoothing and weights as in PyTorch. Computed in f32; stable for logits
 * of any size. Two dispatches for loss and gradient of a small batch, three else; sums have a fixed order. Backward reads the logits once: forward
 * keeps the maximum and the logarithm of each row.
 * @throws ShapeError if target or weight do not fit the logits
 * @throws DtypeError, ValueError for other types, or a smoothing outside of [0, 1]
 */
export function crossEntropy(logits: Tensor, target: Tensor, options: CrossEntropyOptions = {}): Tensor {
  checkOperands("cross_entropy", logits, target, options, false);
  if (target.requiresGrad) return scope(() => composed(logits, target, options));
  return call(logits, target, options, false);
}

/**
 * Negative log likelihood, as `torch.nn.functional.nll_loss`: -weight[target] * logp[target] for each row.
 * @param logp log-probabilities `[N, C]`, `[N, C, d…]` or `[C]`, f32 or f16
 * @param target class ids i32 or u32, of that shape without C
 * @returns as `crossEntropy`
 * @throws ShapeError, DtypeError as `crossEntropy`
 */
export function nllLoss(logp: Tensor, target: Tensor, options: NllLossOptions = {}): Tensor {
  const own = { ...options, labelSmoothing: 0 };
  checkOperands("nll_loss", logp, target, own, true);
  return call(logp, target, own, true);
}
