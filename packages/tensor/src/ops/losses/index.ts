import { defineOp } from "../../autograd/define-op.js";
import { scope } from "../../autograd/modes.js";
import { expectDtype } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { formatShape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import type { Reduction } from "../cross-entropy/index.js";
import { launch } from "../elementwise/launch.js";

/** Options of `binaryCrossEntropyWithLogits`. */
export interface BinaryCrossEntropyOptions {
  /** How much each element counts; broadcast against the logits. Does not change what the mean divides by. */
  readonly weight?: Tensor | null;
  /** Factor of the positive part of the loss, such as negatives / positives; broadcast against the logits. */
  readonly posWeight?: Tensor | null;
  /** Default "mean". */
  readonly reduction?: Reduction;
}

function reduce(losses: Tensor, reduction: Reduction): Tensor {
  if (reduction === "none") return losses;
  return reduction === "sum" ? losses.sum() : losses.mean();
}

function expectSameShape(op: string, a: Tensor, b: Tensor, what: readonly [string, string]): void {
  if (formatShape(a.shape) === formatShape(b.shape)) return;
  throw new ShapeError(
    `${op}: ${what[0]} ${formatShape(a.shape)} and ${what[1]} ${formatShape(b.shape)} must have one shape. ` +
      "Use unsqueeze, reshape or expand on one of them.",
  );
}

/** log(1 + exp(-|v|)) + max(-v, 0), that is -log(sigmoid(v)); the correction keeps the small values of log1p. */
const SOFTPLUS = `
  let e = exp(-abs(a));
  let u = 1.0 + e;
  let softplus = select(log(u) * e / (u - 1.0), e, u == 1.0) + max(-a, 0.0);`;

/** Elementwise loss (1 - z) x + (1 + (p - 1) z) softplus(-x) of logits x, targets z and weights p of the positive part. */
const bceOp = defineOp<undefined>({
  name: "binary_cross_entropy_with_logits",
  forward(ctx, [x, z, p]) {
    ctx.saveForBackward(x!, z!, p!);
    const wgsl = `${SOFTPLUS}\n  return (1.0 - b) * a + (1.0 + (c - 1.0) * b) * softplus;`;
    return launch({ name: "bce_with_logits", wgsl }, [x!, z!, p!]);
  },
  backward(ctx, [dy]) {
    const [x, z, p] = ctx.savedTensors as [Tensor, Tensor, Tensor];
    // (1 - z) sigmoid(x) - p z sigmoid(-x): no difference of nearly equal numbers.
    const ofLogits = "return (1.0 - b) / (1.0 + exp(-a)) - c * b / (1.0 + exp(a));";
    const ofTarget = `${SOFTPLUS}\n  return (c - 1.0) * softplus - a;`;
    const part = (name: string, wgsl: string) =>
      launch({ name: `bce_with_logits.${name}`, wgsl }, [x, z, p]).mul(dy!);
    return [
      ctx.needsInputGrad[0] ? part("dlogits", ofLogits) : null,
      ctx.needsInputGrad[1] ? part("dtarget", ofTarget) : null,
      null,
    ];
  },
});

/**
 * Binary cross entropy of logits, as `torch.nn.functional.binary_cross_entropy_with_logits`:
 * -weight (posWeight z log(sigmoid(x)) + (1 - z) log(1 - sigmoid(x))), stable for logits of any size.
 * @param logits x, any shape, f32 or f16
 * @param target z in [0, 1], the shape of the logits, floating
 * @returns a 0-d tensor ("mean", "sum"), or the losses in the logits' shape ("none"); f32 also for f16 operands
 * @throws ShapeError if the shapes differ; DtypeError for integers and bool
 */
export function binaryCrossEntropyWithLogits(
  logits: Tensor,
  target: Tensor,
  options: BinaryCrossEntropyOptions = {},
): Tensor {
  const name = "binary_cross_entropy_with_logits";
  const { weight = null, posWeight = null, reduction = "mean" } = options;
  expectDtype(name, "logits", logits.dtype, ["f32", "f16"]);
  expectDtype(name, "the target", target.dtype, ["f32", "f16"]);
  expectSameShape(name, logits, target, ["logits", "target"]);
  if (posWeight?.requiresGrad) {
    throw new ValueError(`${name}: posWeight has no gradient. Pass posWeight.detach().`);
  }
  return scope(() => {
    const positive = posWeight ?? Tensor.full(logits.device, [1], 1);
    // Losses are f32 for f16 operands too, whose gradients come back in f16.
    const losses = bceOp([logits.to("f32"), target.to("f32"), positive], undefined);
    return reduce(weight ? losses.mul(weight) : losses, reduction);
  });
}

/**
 * Squared differences, as `torch.nn.functional.mse_loss`. Both operands have a gradient.
 * @param input any shape, f32 or f16
 * @param target the shape of the input
 * @param options.reduction default "mean"
 * @returns a 0-d tensor ("mean", "sum"), or the squares in the input's shape ("none"); f32 also for f16 operands
 * @throws ShapeError if the shapes differ
 */
export function mseLoss(input: Tensor, target: Tensor, options: { reduction?: Reduction } = {}): Tensor {
  expectDtype("mse_loss", "the input", input.dtype, ["f32", "f16"]);
  expectDtype("mse_loss", "the target", target.dtype, ["f32", "f16"]);
  expectSameShape("mse_loss", input, target, ["input", "target"]);
  return scope(() => reduce(input.to("f32").sub(target.to("f32")).square(), options.reduction ?? "mean"));
}
