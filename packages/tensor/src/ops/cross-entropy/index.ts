import { defineOp, type OpContext } from "../../autograd/define-op.js";
import { scope } from "../../autograd/modes.js";
import { f32, gridFor, type ParamValue } from "../../device/kernel.js";
import { type Dtype, expectDtype, isFloating } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { formatShape, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { logSoftmax } from "../softmax/index.js";
import total from "./total.wgsl";
import { chooseVariant } from "./variants.js";

export { variants as crossEntropyVariants } from "./variants.js";

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

interface LossAttributes {
  readonly weight: Tensor | null;
  readonly ignoreIndex: number;
  readonly reduction: Reduction;
  readonly labelSmoothing: number;
  readonly soft: boolean;
  readonly nll: boolean;
}

/** Operands of both programs, without gaps. */
interface Operands {
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

function launchParts({ x, labels, weight }: Operands, attributes: LossAttributes, dy: Tensor | null) {
  const { rows, classes, inner } = cut(x.shape);
  const variant = chooseVariant(x.device, classes, inner);
  const { soft, nll, labelSmoothing } = attributes;
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
    variant,
    rows,
    params,
    grid: gridFor(rows, variant.rowsPerGroup),
    buffers: [x, labels, weight ?? x].map((tensor) => tensor.storage.buffer),
    types: { T: x.dtype, Label: labels.dtype, W: (weight ?? x).dtype },
    constants: { SOFT: soft, NLL: nll, WEIGHT: weight !== null, SPREAD: soft || labelSmoothing > 0 },
  };
}

const lossOp = defineOp<LossAttributes>({
  name: "cross_entropy",
  forward(ctx, [logits, target], attributes) {
    const operands: Operands = {
      x: logits!.contiguous(),
      labels: target!.contiguous(),
      weight: attributes.weight?.contiguous() ?? null,
    };
    const { x, labels, weight } = operands;
    const { device } = x;
    const reduced = attributes.reduction !== "none";
    const { variant, rows, params, grid, buffers, types, constants } = launchParts(
      operands,
      attributes,
      null,
    );
    const shape = reduced ? [rows] : [x.shape[0]!, ...x.shape.slice(2)];
    const dtype: Dtype = reduced ? "f32" : x.dtype;
    const loss = Tensor.empty(device, shape, dtype);
    const mass = Tensor.empty(device, [rows], "f32");
    const state = Tensor.empty(device, [rows, 4], "f32");
    device.run(variant.forward, {
      buffers: [...buffers, loss.storage.buffer, mass.storage.buffer, state.storage.buffer],
      params,
      grid,
      specialisation: { types: { ...types, Y: dtype }, constants },
    });
    const scale = Tensor.empty(device, [1], "f32");
    const saved = [x, labels, state, scale, ...(weight ? [weight] : [])];
    if (!reduced) {
      ctx.saveForBackward(...saved);
      return loss;
    }
    const y = Tensor.empty(device, [], x.dtype);
    device.run(totalKernel, {
      buffers: [loss, mass, y, scale].map((tensor) => tensor.storage.buffer),
      params: [rows],
      grid: [1, 1, 1],
      specialisation: { types: { Y: x.dtype }, constants: { MEAN: attributes.reduction === "mean" } },
    });
    ctx.saveForBackward(...saved);
    return y;
  },
  backward: (ctx, [dy]) => [ctx.needsInputGrad[0] ? gradient(ctx, dy!.contiguous()) : null, null],
});

function gradient(ctx: OpContext<LossAttributes>, dy: Tensor): Tensor {
  const [x, labels, state, scale, weight] = ctx.savedTensors as [Tensor, Tensor, Tensor, Tensor, Tensor?];
  const operands: Operands = { x, labels, weight: weight ?? null };
  const { variant, params, grid, buffers, types, constants } = launchParts(operands, ctx.attributes, dy);
  const dx = Tensor.empty(x.device, x.shape, x.dtype);
  x.device.run(variant.backward, {
    buffers: [...buffers, ...[state, scale, dy, dx].map((tensor) => tensor.storage.buffer)],
    params,
    grid,
    specialisation: { types, constants: { ...constants, REDUCED: ctx.attributes.reduction !== "none" } },
  });
  return dx;
}

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
  const losses = q.mul(logSoftmax(logits, dim)).sum(dim).neg();
  if (reduction === "none") return losses;
  return reduction === "sum" ? losses.sum() : losses.mean();
}

/**
 * Cross entropy of logits and targets, as `torch.nn.functional.cross_entropy`, with its log-softmax in the same program.
 * Letters: N rows, C classes, d… further dimensions such as positions.
 * @param logits `[N, C]`, `[N, C, d…]` or `[C]`, f32 or f16
 * @param target class ids i32 or u32, of the logits' shape without C; or probabilities, of the logits' shape and floating.
 *   An id outside of [0, C) that is not `ignoreIndex` makes the loss NaN: check labels before they are uploaded.
 * @returns a 0-d tensor ("mean", "sum"), or the losses `[N, d…]` ("none"), in the logits' type
 *
 * "mean" divides by the sum of the weights of the targets that are not ignored (NaN if there are none), with
 * probabilities by the number of rows. With label smoothing and weights as in PyTorch. Computed in f32; stable for logits
 * of any size. Three dispatches for loss and gradient; sums have a fixed order. Backward reads the logits once: forward
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
