import { defineOp } from "../../autograd/define-op.js";
import { expectDtype, isFloating } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import { type Formula, launch } from "./launch.js";

/** One elementwise function of one tensor: the formula and its derivative, side by side. */
interface UnaryRow {
  readonly name: string;
  /** f(x), as a formula in `x` and the numbers `s`, `t`. */
  readonly forward: string;
  /** dy f'(·), as a formula in `a` (what was saved) and `b` (dy). */
  readonly backward: string;
  /** What backward needs: the input, or the output where that is enough. */
  readonly saves: "x" | "y";
  readonly erf?: boolean;
  /** True if integers stay integers (unless the number beside them is a fraction); else they become f32 first, as in PyTorch. */
  readonly integers?: boolean;
}

interface Numbers {
  readonly s?: number;
  readonly t?: number;
}

function unary(row: UnaryRow): (x: Tensor, numbers?: Numbers) => Tensor {
  const op = defineOp<Numbers>({
    name: row.name,
    forward(ctx, [given], numbers) {
      expectDtype(row.name, "the input", given!.dtype, ["f32", "f16", "i32", "u32"]);
      const whole = Number.isInteger(numbers.s ?? 0) && Number.isInteger(numbers.t ?? 0);
      const stays = isFloating(given!.dtype) || (row.integers === true && whole);
      const x = stays ? given! : given!.to("f32");
      const y = launch({ name: row.name, wgsl: row.forward, erf: row.erf ?? false, ...numbers }, [x]);
      ctx.saveForBackward(row.saves === "x" ? x : y);
      return y;
    },
    backward(ctx, [dy]) {
      const formula: Formula = {
        name: `${row.name}.backward`,
        wgsl: row.backward,
        erf: row.erf ?? false,
        ...ctx.attributes,
      };
      return [launch(formula, [ctx.savedTensors[0]!, dy!])];
    },
  });
  return (x, numbers = {}) => op([x], numbers);
}

// tanh: by exp of a bounded argument, and by its series near 0, where 1 - exp(...) would cancel.
const TANH = `
  let s2 = x * x;
  let near = x * fma(s2, fma(s2, fma(s2, C(-0.0539682540), C(0.1333333333)), C(-0.3333333333)), C(1.0));
  let e = exp(C(-2.0) * min(abs(x), C(20.0)));
  return select(sign(x) * (C(1.0) - e) / (C(1.0) + e), near, abs(x) < C(0.15));`;

const negOp = unary({ name: "neg", forward: "-x", backward: "-b", saves: "x", integers: true });
/** -x; i32 for u32. */
export const neg = (x: Tensor): Tensor => negOp(x.dtype === "u32" ? x.to("i32") : x);
/** |x|; gradient 0 at 0. */
export const abs = unary({
  name: "abs",
  forward: "abs(x)",
  backward: "b * sign(a)",
  saves: "x",
  integers: true,
});
/** e^x */
export const exp = unary({ name: "exp", forward: "exp(x)", backward: "a * b", saves: "y" });
/** Natural logarithm. */
export const log = unary({ name: "log", forward: "log(x)", backward: "b / a", saves: "x" });
/** Square root. */
export const sqrt = unary({ name: "sqrt", forward: "sqrt(x)", backward: "C(0.5) * b / a", saves: "y" });
/** 1 / sqrt(x) */
export const rsqrt = unary({
  name: "rsqrt",
  forward: "C(1.0) / sqrt(x)",
  backward: "C(-0.5) * b * a * a * a",
  saves: "y",
});
/** x² */
export const square = unary({
  name: "square",
  forward: "x * x",
  backward: "C(2.0) * a * b",
  saves: "x",
  integers: true,
});
/** Hyperbolic tangent. */
export const tanh = unary({ name: "tanh", forward: TANH, backward: "b * (C(1.0) - a * a)", saves: "y" });
/** 1 / (1 + e^-x) */
export const sigmoid = unary({
  name: "sigmoid",
  forward: "C(1.0) / (C(1.0) + exp(-x))",
  backward: "b * a * (C(1.0) - a)",
  saves: "y",
});
/** max(x, 0); gradient 0 at 0. */
export const relu = unary({
  name: "relu",
  forward: "max(x, C(0))",
  backward: "select(C(0.0), b, a > C(0.0))",
  saves: "y",
  integers: true,
});
/** x sigmoid(x), also called swish. Source: Hendrycks & Gimpel 2016; Elfwing et al. 2017. */
export const silu = unary({
  name: "silu",
  forward: "x / (C(1.0) + exp(-x))",
  backward: "let g = C(1.0) / (C(1.0) + exp(-a)); return b * g * (C(1.0) + a * (C(1.0) - g));",
  saves: "x",
});
/** Gauss error function. */
export const erf = unary({
  name: "erf",
  forward: "erf(x)",
  backward: "b * C(1.1283791671) * exp(-a * a)",
  saves: "x",
  erf: true,
});
/** GELU by tanh, `approximate="tanh"` in PyTorch. */
export const geluTanh = unary({
  name: "gelu_tanh",
  forward: "let u = C(1.5957691216) * (x + C(0.044715) * x * x * x); return x / (C(1.0) + exp(-u));",
  backward: `
    let u = C(1.5957691216) * (a + C(0.044715) * a * a * a);
    let g = C(1.0) / (C(1.0) + exp(-u));
    return b * (g + a * g * (C(1.0) - g) * C(1.5957691216) * (C(1.0) + C(0.134145) * a * a));`,
  saves: "x",
});
/** x sigmoid(1.702 x), the approximation that CLIP uses. */
export const quickGelu = unary({
  name: "quick_gelu",
  forward: "x / (C(1.0) + exp(C(-1.702) * x))",
  backward:
    "let g = C(1.0) / (C(1.0) + exp(C(-1.702) * a)); return b * g * (C(1.0) + C(1.702) * a * (C(1.0) - g));",
  saves: "x",
});

/** What no value of the type lies outside of. */
const range = {
  f32: [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY],
  i32: [-(2 ** 31), 2 ** 31 - 1],
  u32: [0, 2 ** 32 - 1],
} as const;

const clampOp = unary({
  name: "clamp",
  forward: "clamp(x, C(s), C(t))",
  backward: "select(C(0.0), b, (a >= C(s)) & (a <= C(t)))",
  saves: "x",
  integers: true,
});

/** Limits values to `[min, max]`; null leaves a side open. The gradient passes at the bounds, as in PyTorch. */
export function clamp(x: Tensor, min: number | null, max: number | null): Tensor {
  const [low, high] = range[isFloating(x.dtype) ? "f32" : x.dtype === "u32" ? "u32" : "i32"];
  return clampOp(x, { s: min ?? low, t: max ?? high });
}

/** Numbers on one side of an arithmetic operation: the rows of `x + s`, `s - x` and so on. */
const withNumber = {
  add: unary({ name: "add", forward: "x + C(s)", backward: "b", saves: "y", integers: true }),
  subtractFrom: unary({ name: "sub", forward: "C(s) - x", backward: "-b", saves: "y", integers: true }),
  mul: unary({ name: "mul", forward: "x * C(s)", backward: "b * C(s)", saves: "y", integers: true }),
  div: unary({ name: "div", forward: "x / C(s)", backward: "b / C(s)", saves: "y" }),
  divide: unary({ name: "div", forward: "C(s) / x", backward: "-b * C(s) / (a * a)", saves: "x" }),
  maximum: unary({
    name: "maximum",
    forward: "max(x, C(s))",
    backward: "select(select(C(0.0), C(0.5) * b, a == C(s)), b, a > C(s))",
    saves: "x",
    integers: true,
  }),
  minimum: unary({
    name: "minimum",
    forward: "min(x, C(s))",
    backward: "select(select(C(0.0), C(0.5) * b, a == C(s)), b, a < C(s))",
    saves: "x",
    integers: true,
  }),
};

/** x + s */
export const addNumber = (x: Tensor, s: number): Tensor => withNumber.add(x, { s });
/** s - x */
export const subtractFromNumber = (x: Tensor, s: number): Tensor => withNumber.subtractFrom(x, { s });
/** x · s */
export const mulNumber = (x: Tensor, s: number): Tensor => withNumber.mul(x, { s });
/** x / s */
export const divNumber = (x: Tensor, s: number): Tensor => withNumber.div(x, { s });
/** s / x */
export const divideNumber = (x: Tensor, s: number): Tensor => withNumber.divide(x, { s });
/** max(x, s); the gradient is halved where they are equal. */
export const maximumNumber = (x: Tensor, s: number): Tensor => withNumber.maximum(x, { s });
/** min(x, s); the gradient is halved where they are equal. */
export const minimumNumber = (x: Tensor, s: number): Tensor => withNumber.minimum(x, { s });

// WGSL's pow is undefined for a negative base: whole exponents take |x| and put the sign back for odd ones, as in C.
const powWhole = unary({
  name: "pow",
  forward: "select(pow(abs(x), C(s)), pow(abs(x), C(s)) * sign(x), C(abs(s)) % C(2.0) == C(1.0))",
  backward:
    "b * C(s) * select(pow(abs(a), C(s - 1.0)), pow(abs(a), C(s - 1.0)) * sign(a), C(abs(s - 1.0)) % C(2.0) == C(1.0))",
  saves: "x",
});
const powReal = unary({
  name: "pow",
  forward: "pow(x, C(s))",
  backward: "b * C(s) * pow(a, C(s - 1.0))",
  saves: "x",
});

// Of its own, because 0^0 is 1, and exp2(0 * log2(0)) is not.
const powZero = unary({ name: "pow", forward: "C(1.0)", backward: "C(0.0)", saves: "y" });

/** x^s for a number s. Small whole exponents and ±1/2 go by multiplication and square roots, which are exact. */
export function powNumber(x: Tensor, s: number): Tensor {
  if (s === 0) return powZero(x);
  if (s === 1) return addNumber(x, 0);
  if (s === 2) return square(x);
  if (s === 3) return square(x).mul(x);
  if (s === 0.5) return sqrt(x);
  if (s === -0.5) return rsqrt(x);
  if (s === -1) return divideNumber(x, 1);
  return Number.isInteger(s) ? powWhole(x, { s }) : powReal(x, { s });
}
