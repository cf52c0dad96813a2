import { defineOp } from "../../autograd/define-op.js";
import { type Dtype, isFloating, promoteTypes } from "../../dtype.js";
import type { Tensor } from "../../tensor.js";
import { sumTo } from "../sum/index.js";
import { type Formula, launch } from "./launch.js";
import {
  addNumber,
  divideNumber,
  divNumber,
  maximumNumber,
  minimumNumber,
  mulNumber,
  powNumber,
  subtractFromNumber,
} from "./unary.js";

/** One elementwise function of two tensors. Formulas see `a` and `b`; those of a gradient see `a`, `b` and `c` = dy. */
interface BinaryRow {
  readonly name: string;
  readonly forward: string;
  /** dy ∂f/∂a and dy ∂f/∂b. A formula in `x` alone (= dy) needs no saved tensors. */
  readonly backward: readonly [BinaryGradient, BinaryGradient];
}

type BinaryGradient =
  | { readonly ofGradient: string }
  | { readonly ofAll: string }
  | { readonly ofOther: string };

function binary(row: BinaryRow): (a: Tensor, b: Tensor) => Tensor {
  const linear = row.backward.every((g) => "ofGradient" in g);
  const op = defineOp<undefined>({
    name: row.name,
    forward(ctx, [a, b]) {
      if (!linear) ctx.saveForBackward(a!, b!);
      return launch({ name: row.name, wgsl: row.forward, result: resultType(a!, b!) }, [a!, b!]);
    },
    backward(ctx, [dy]) {
      const [a, b] = ctx.savedTensors as [Tensor, Tensor];
      return row.backward.map((gradient, i) => {
        if (!ctx.needsInputGrad[i]) return null;
        const name = `${row.name}.backward`;
        let full: Tensor;
        if ("ofGradient" in gradient) {
          full = gradient.ofGradient === "x" ? dy! : launch({ name, wgsl: gradient.ofGradient }, [dy!]);
        } else if ("ofOther" in gradient) {
          full = launch({ name, wgsl: gradient.ofOther, result: dy!.dtype }, [dy!, i === 0 ? b : a]);
        } else {
          full = launch({ name, wgsl: gradient.ofAll, result: dy!.dtype }, [a, b, dy!]);
        }
        return sumTo(full, ctx.inputShapes[i]!).to(ctx.inputDtypes[i]!);
      });
    },
  });
  return (a, b) => op([a, b], undefined);
}

/** The type of the result: a 0-d tensor does not lift that of a float beside it, as in PyTorch. */
function resultType(a: Tensor, b: Tensor): Dtype {
  if (b.rank === 0 && a.rank > 0 && isFloating(a.dtype)) return a.dtype;
  if (a.rank === 0 && b.rank > 0 && isFloating(b.dtype)) return b.dtype;
  return promoteTypes(a.dtype, b.dtype);
}

const rows = {
  add: binary({ name: "add", forward: "a + b", backward: [{ ofGradient: "x" }, { ofGradient: "x" }] }),
  sub: binary({ name: "sub", forward: "a - b", backward: [{ ofGradient: "x" }, { ofGradient: "-x" }] }),
  mul: binary({ name: "mul", forward: "a * b", backward: [{ ofOther: "a * b" }, { ofOther: "a * b" }] }),
  div: binary({
    name: "div",
    forward: "a / b",
    backward: [{ ofOther: "a / b" }, { ofAll: "-c * a / (b * b)" }],
  }),
  maximum: binary({
    name: "maximum",
    forward: "max(a, b)",
    backward: [
      { ofAll: "select(select(C(0.0), C(0.5) * c, a == b), c, a > b)" },
      { ofAll: "select(select(C(0.0), C(0.5) * c, a == b), c, b > a)" },
    ],
  }),
  minimum: binary({
    name: "minimum",
    forward: "min(a, b)",
    backward: [
      { ofAll: "select(select(C(0.0), C(0.5) * c, a == b), c, a < b)" },
      { ofAll: "select(select(C(0.0), C(0.5) * c, a == b), c, b < a)" },
    ],
  }),
  pow: binary({
    name: "pow",
    forward: "pow(a, b)",
    backward: [
      { ofAll: "select(c * b * pow(a, b - C(1.0)), C(0.0), b == C(0.0))" },
      { ofAll: "select(c * pow(a, b) * log(a), C(0.0), a == C(0.0))" },
    ],
  }),
};

/** Both as f32 if neither is a float. */
function asFloats(a: Tensor, b: Tensor): [Tensor, Tensor] {
  return isFloating(a.dtype) || isFloating(b.dtype) ? [a, b] : [a.to("f32"), b.to("f32")];
}

/** Either operand may be a number; at least one is a tensor. */
type Operand = Tensor | number;

/** a + b, broadcast. */
export function add(a: Tensor, b: Operand): Tensor {
  return typeof b === "number" ? addNumber(a, b) : rows.add(a, b);
}

/** a - b, broadcast; either may be a number. */
export function sub(a: Operand, b: Operand): Tensor {
  if (typeof a === "number") return subtractFromNumber(b as Tensor, a);
  return typeof b === "number" ? addNumber(a, -b) : rows.sub(a, b);
}

/** a · b elementwise, broadcast. */
export function mul(a: Tensor, b: Operand): Tensor {
  return typeof b === "number" ? mulNumber(a, b) : rows.mul(a, b);
}

/** a / b elementwise, broadcast; either may be a number. Integers are divided as f32. */
export function div(a: Operand, b: Operand): Tensor {
  if (typeof a === "number") return divideNumber(b as Tensor, a);
  return typeof b === "number" ? divNumber(a, b) : rows.div(...asFloats(a, b));
}

/** Larger of two, broadcast; the gradient is shared where they are equal. */
export function maximum(a: Tensor, b: Operand): Tensor {
  return typeof b === "number" ? maximumNumber(a, b) : rows.maximum(a, b);
}

/** Smaller of two, broadcast; the gradient is shared where they are equal. */
export function minimum(a: Tensor, b: Operand): Tensor {
  return typeof b === "number" ? minimumNumber(a, b) : rows.minimum(a, b);
}

/** a to the power b, broadcast. With a tensor exponent the base must not be negative. */
export function pow(a: Tensor, b: Operand): Tensor {
  return typeof b === "number" ? powNumber(a, b) : rows.pow(...asFloats(a, b));
}

function comparison(name: string, operator: string) {
  const op = defineOp<{ other: number | null }>({
    name,
    forward(_ctx, [a, b], { other }) {
      if (other === null) return launch({ name, wgsl: `a ${operator} b`, condition: true }, [a!, b!]);
      const formula: Formula = { name, wgsl: `x ${operator} C(s)`, condition: true, s: other };
      // A number that the integer type does not have is compared as f32.
      const low = a!.dtype === "i32" ? -(2 ** 31) : 0;
      const fits = Number.isInteger(other) && other >= low && other < low + 2 ** 32;
      return launch(fits ? formula : { ...formula, compute: "f32" }, [a!]);
    },
  });
  return (a: Tensor, b: Operand): Tensor =>
    typeof b === "number" ? op([a.detach()], { other: b }) : op([a.detach(), b.detach()], { other: null });
}

/** a == b as bool, broadcast. */
export const eq = comparison("eq", "==");
/** a != b as bool, broadcast. */
export const ne = comparison("ne", "!=");
/** a < b as bool, broadcast. */
export const lt = comparison("lt", "<");
/** a <= b as bool, broadcast. */
export const le = comparison("le", "<=");
/** a > b as bool, broadcast. */
export const gt = comparison("gt", ">");
/** a >= b as bool, broadcast. */
export const ge = comparison("ge", ">=");
