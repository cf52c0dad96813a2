import { lowered } from "../../autograd/autocast.js";
import { defineOp, type OpContext } from "../../autograd/define-op.js";
import { type Dtype, expectDtype } from "../../dtype.js";
import { ShapeError, ValueError } from "../../errors.js";
import { formatShape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { sum } from "../sum/index.js";
import { activationBackward } from "./activation-backward.js";
import {
  type Activation,
  foldRows,
  type ProductOptions,
  type ProductParts,
  product,
  productParts,
} from "./product.js";

/** `[…, columns]` as one matrix; copied only if the leading dimensions do not fold. */
export function matrixOf(x: Tensor): Tensor {
  return foldRows(x) ?? foldRows(x.contiguous())!;
}

/** x · Wᵀ (+ bias) in the type of x, with what `options` adds. */
export function project(x: Tensor, weight: Tensor, options: ProductOptions): ProductParts {
  const shape = [...x.shape.slice(0, -1), weight.shape[0]!];
  return productParts(matrixOf(x), weight.transpose(0, 1), { ...options, shape });
}

/**
 * Gradients of weight and bias from those of the result and the input, both as matrices: dW = dYᵀ · X, and the sum of each
 * column of dY, which the same dispatch makes where the kernel can.
 * @param x may be missing where that of the weight is not wanted
 * @param wanted the element type of each that is wanted, else null
 */
export function parameterGradients(
  dy: Tensor,
  x: Tensor | undefined,
  wanted: { readonly weight: Dtype | null; readonly bias: Dtype | null },
): { weight: Tensor | null; bias: Tensor | null } {
  const both =
    wanted.weight && x
      ? productParts(dy.transpose(0, 1), x, { dtype: wanted.weight, rowSums: wanted.bias === wanted.weight })
      : null;
  const bias = wanted.bias ? (both?.rowSums ?? sum(dy, 0).to(wanted.bias)) : null;
  return { weight: both?.y ?? null, bias };
}

/** The type of input i if its gradient is wanted, else null. */
export function wantedType(ctx: OpContext<unknown>, i: number): Dtype | null {
  return ctx.needsInputGrad[i] ? ctx.inputDtypes[i]! : null;
}

/**
 * All gradients of `x Wᵀ + bias` where x is input 0, the weight input 1 and the bias, if there is one, input 2.
 * @param x undefined where the weight wants no gradient: a frozen layer does not keep its input
 */
function linearGradients(
  ctx: OpContext<unknown>,
  dy: Tensor,
  weight: Tensor,
  x: Tensor | undefined,
): (Tensor | null)[] {
  const gradients = matrixOf(dy);
  const parameters = parameterGradients(gradients, x && matrixOf(x), {
    weight: wantedType(ctx, 1),
    bias: wantedType(ctx, 2),
  });
  const [shape, dtype] = [ctx.inputShapes[0]!, ctx.inputDtypes[0]!];
  const dx = ctx.needsInputGrad[0]
    ? product(gradients, weight, { shape, dtype, addend: ctx.takeAddend(0) })
    : null;
  return [dx, parameters.weight, parameters.bias];
}

const linearOp = defineOp<undefined>({
  name: "linear",
  forward(ctx, [x, weight, bias]) {
    ctx.saveForBackward(weight!, ...(ctx.needsInputGrad[1] ? [x!] : []));
    return project(x!, weight!, { bias }).y;
  },
  backward(ctx, [dy]) {
    const [weight, x] = ctx.savedTensors as [Tensor, Tensor?];
    return linearGradients(ctx, dy!, weight, x).slice(0, ctx.inputShapes.length);
  },
});

const linearActivationOp = defineOp<Activation>({
  name: "linear_activation",
  forward(ctx, [x, weight, bias], activation) {
    const keepBefore = ctx.needsInputGrad.some(Boolean);
    const { y, before } = project(x!, weight!, { bias, activation, keepBefore });
    if (before) ctx.saveForBackward(weight!, before, ...(ctx.needsInputGrad[1] ? [x!] : []));
    return y;
  },
  backward(ctx, [dy]) {
    const [weight, before, x] = ctx.savedTensors as [Tensor, Tensor, Tensor?];
    const dh = activationBackward(ctx.attributes, before, dy!);
    return linearGradients(ctx, dh, weight, x).slice(0, ctx.inputShapes.length);
  },
});

const linearsOp = defineOp<number, Tensor[]>({
  name: "linears",
  forward(ctx, [x, ...parameters], count) {
    const weights = parameters.slice(0, count);
    const wanted = ctx.needsInputGrad.slice(1, 1 + count).some(Boolean);
    ctx.saveForBackward(...weights, ...(wanted ? [x!] : []));
    return weights.map((weight, i) => project(x!, weight, { bias: parameters[count + i] }).y);
  },
  backward(ctx, dys) {
    const count = ctx.attributes;
    const weights = ctx.savedTensors.slice(0, count);
    const x = ctx.savedTensors[count];
    const rows = x && matrixOf(x);
    const [shape, dtype] = [ctx.inputShapes[0]!, ctx.inputDtypes[0]!];
    const gradients = dys.map((dy) => dy && matrixOf(dy));
    // One product after the other takes up the sum so far: no dispatch only adds.
    let dx: Tensor | null = null;
    if (ctx.needsInputGrad[0]) {
      dx = ctx.takeAddend(0);
      for (const [i, dy] of gradients.entries()) {
        if (dy) dx = product(dy, weights[i]!, { shape, dtype, addend: dx });
      }
    }
    const parameters = gradients.map((dy, i) =>
      dy
        ? parameterGradients(dy, rows, {
            weight: wantedType(ctx, 1 + i),
            bias: wantedType(ctx, 1 + count + i),
          })
        : { weight: null, bias: null },
    );
    const biased = ctx.inputShapes.length > 1 + count;
    return [
      dx,
      ...parameters.map(({ weight }) => weight),
      ...(biased ? parameters.map(({ bias }) => bias) : []),
    ];
  },
});

/** @throws DtypeError, ShapeError naming the sizes that differ */
export function checkLinear(
  op: string,
  x: Pick<Tensor, "dtype" | "rank" | "shape">,
  weight: Tensor,
  bias: Tensor | null,
): void {
  for (const [name, tensor] of Object.entries({ x, weight, bias })) {
    if (tensor) expectDtype(op, name, tensor.dtype, ["f32", "f16"]);
  }
  const bad = (what: string) =>
    new ShapeError(
      `${op}: ${what}; x is ${formatShape(x.shape)}, weight ${formatShape(weight.shape)} must be [out, in].`,
    );
  if (weight.rank !== 2) throw bad(`weight has ${weight.rank} dimensions instead of 2`);
  if (x.rank === 0) throw bad("x has no dimension");
  const inner = x.shape[x.rank - 1]!;
  if (inner !== weight.shape[1]) {
    const hint = inner === weight.shape[0] ? ". It looks transposed: pass weight.transpose(0, 1)" : "";
    throw bad(`the last size of x is not that of weight (${inner} ≠ ${weight.shape[1]})${hint}`);
  }
  if (bias && (bias.rank !== 1 || bias.shape[0] !== weight.shape[0])) {
    throw bad(`bias ${formatShape(bias.shape)} must be [${weight.shape[0]}]`);
  }
}

/** @throws ValueError for a name that is none */
export function checkActivation(op: string, activation: string): void {
  if (["gelu", "quick_gelu", "relu"].includes(activation)) return;
  throw new ValueError(`${op}: there is no activation "${activation}"; there are gelu, quick_gelu and relu.`);
}

/**
 * `x Wᵀ + bias`, as `torch.nn.functional.linear`; the bias is added in the product's own kernel.
 * x, weight and bias may each be f32 or f16; the result has the type of x, each gradient that of its tensor, and sums are taken
 * in f32: no conversion is a dispatch of its own. Inside `autocast` an x of f32 counts as f16.
 * @param x `[…, in]`
 * @param weight `[out, in]`
 * @param bias `[out]`
 * @returns `[…, out]`
 * @throws ShapeError naming the sizes that differ
 */
export function linear(x: Tensor, weight: Tensor, bias: Tensor | null = null): Tensor {
  checkLinear("linear", x, weight, bias);
  const input = lowered(x);
  return linearOp(bias ? [input, weight, bias] : [input, weight], undefined);
}

/**
 * `activation(x Wᵀ + bias)` in one dispatch. What went into the activation is kept only where a gradient is wanted.
 * @param activation `gelu` (the exact one, by erf), `quick_gelu` or `relu`
 * @returns `[…, out]`, in the type of x
 * @throws ShapeError as `linear`; ValueError for another activation
 */
export function linearActivation(
  x: Tensor,
  weight: Tensor,
  bias: Tensor | null,
  activation: Activation,
): Tensor {
  checkLinear("linearActivation", x, weight, bias);
  checkActivation("linearActivation", activation);
  const input = lowered(x);
  return linearActivationOp(bias ? [input, weight, bias] : [input, weight], activation);
}

/**
 * Several `linear`s of one x, such as query, key and value: `[x W₀ᵀ + b₀, x W₁ᵀ + b₁, …]`. A dispatch for each; in backward the
 * gradient of x is one chain of products, each of which adds to the one before.
 * @param x `[…, in]`
 * @param weights `[outᵢ, in]` each
 * @param biases `[outᵢ]` each; all or none
 * @throws ShapeError as `linear`; ValueError if there are not as many biases as weights
 */
export function linears(x: Tensor, weights: readonly Tensor[], biases: readonly Tensor[] = []): Tensor[] {
  if (weights.length === 0 || (biases.length > 0 && biases.length !== weights.length)) {
    throw new ValueError(
      `linears: needs at least one weight, and as many biases as weights or none; got ${weights.length} and ${biases.length}.`,
    );
  }
  for (const [i, weight] of weights.entries()) checkLinear("linears", x, weight, biases[i] ?? null);
  return linearsOp([lowered(x), ...weights, ...biases], weights.length);
}
