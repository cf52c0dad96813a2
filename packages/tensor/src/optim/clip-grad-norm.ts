import { noGrad, scope } from "../autograd/modes.js";
import { at } from "../device/place.js";
import { setUp } from "../device/recording.js";
import { ValueError } from "../errors.js";
import { type GradientNorm, normOf, scaleInPlace } from "../ops/grad-norm/index.js";
import { Tensor } from "../tensor.js";

/** Options of `gradNorm`. */
export interface GradNormOptions {
  /** Norm that `coefficient` limits the gradients to. Default: no limit. */
  maxNorm?: number;
  /** 0-d f32 tensor: the gradients are those of a loss times it (see `GradScaler`). Default 1. */
  scale?: Tensor;
}

/** 1, for gradients that are not scaled; one for each device, for good. */
const ones = new WeakMap<object, Tensor>();

function oneOn({ device }: Tensor): Tensor {
  let one = ones.get(device);
  if (!one) {
    one = setUp(() => Tensor.full(device, [], 1).keep());
    ones.set(device, one);
  }
  return one;
}

/** Gradients as kernels take them; those that are not so are copied, and `changed` brings the copies back. */
function packed(gradients: readonly Tensor[]): { tensors: Tensor[]; changed: () => void } {
  const fits = (g: Tensor) => g.dtype === "f32" && g.isContiguous && g.offset === 0;
  const tensors = gradients.map((g) => (fits(g) ? g : g.to("f32").clone()));
  const changed = () =>
    gradients.forEach((g, i) => {
      if (!fits(g)) g.copy_(tensors[i]!);
    });
  return { tensors, changed };
}

function gradientsOf(parameters: Iterable<Tensor>): Tensor[] {
  const gradients = [...parameters].flatMap((p) => (p.grad ? [p.grad] : []));
  if (gradients.length === 0)
    throw new ValueError("clipGradNorm: no parameter has a gradient. Call backward() first.");
  return gradients;
}

const asOptimizer = <T>(op: string, body: () => T): T =>
  noGrad(() => scope(() => at({ phase: "optimizer", op }, body)));

/**
 * The joint 2-norm of all gradients, as `torch.nn.utils.get_total_norm`, and the coefficient that clips it, on the device. The
 * gradients stay as they are: an optimizer multiplies by the coefficient on the way, without a pass of its own.
 *
 *     const { norm, coefficient } = gradNorm(model.parameters(), { maxNorm: 1 });
 *     optimizer.step({ gradScale: coefficient });
 *
 * @returns 0-d tensors `norm`, `coefficient` (min(1, maxNorm / (norm + 1e-6)), divided by `scale`) and `foundInf`
 * @throws ValueError if no parameter has a gradient
 */
export function gradNorm(parameters: Iterable<Tensor>, options: GradNormOptions = {}): GradientNorm {
  const gradients = gradientsOf(parameters);
  const { maxNorm = Number.POSITIVE_INFINITY } = options;
  return asOptimizer("grad_norm", () =>
    normOf(packed(gradients).tensors, options.scale ?? oneOn(gradients[0]!), () => maxNorm),
  );
}

/**
 * Scales all gradients so that their joint norm is at most `maxNorm`, on the device, and returns the norm before, a 0-d
 * tensor. As `torch.nn.utils.clip_grad_norm_`: the factor is min(1, maxNorm / (norm + 1e-6)). `gradNorm` does the same without
 * a pass over the gradients to change them.
 * @param normType 2 (default), 1, or Infinity
 * @throws ValueError if no parameter has a gradient
 */
export function clipGradNorm_(parameters: Iterable<Tensor>, maxNorm: number, normType = 2): Tensor {
  const gradients = gradientsOf(parameters);
  return asOptimizer("clip_grad_norm", () => {
    const { tensors, changed } = packed(gradients);
    if (normType === 2) {
      const { norm, coefficient } = normOf(tensors, oneOn(gradients[0]!), () => maxNorm);
      scaleInPlace(tensors, coefficient);
      changed();
      return norm;
    }
    const norm = otherNorm(tensors, normType);
    scaleInPlace(tensors, norm.add(1e-6).pow(-1).mul(maxNorm).minimum(1));
    changed();
    return norm;
  });
}

/** Multiplies the gradients of parameters by a 0-d f32 tensor, in place. */
export function scaleGradients(parameters: Iterable<Tensor>, factor: Tensor): void {
  const gradients = [...parameters].flatMap((p) => (p.grad ? [p.grad] : []));
  if (gradients.length === 0) return;
  asOptimizer("scale_gradients", () => {
    const { tensors, changed } = packed(gradients);
    scaleInPlace(tensors, factor);
    changed();
  });
}

function otherNorm(gradients: readonly Tensor[], normType: number): Tensor {
  if (normType === 1) return gradients.map((g) => g.abs().sum()).reduce((a, b) => a.add(b));
  if (normType === Number.POSITIVE_INFINITY)
    return gradients.map((g) => g.abs().max()).reduce((a, b) => a.maximum(b));
  throw new ValueError(`clipGradNorm: norm type ${normType} is not 1, 2 or Infinity.`);
}
