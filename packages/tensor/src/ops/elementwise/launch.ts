import { eight, f32, gridFor, type Kernel, type ParamValue } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { isFloating } from "../../dtype.js";
import {
  broadcastShapes,
  broadcastStrides,
  contiguousStrides,
  mergeDimensions,
  numel,
  type Shape,
} from "../../shape.js";
import { Tensor } from "../../tensor.js";
import binaryContiguous from "./binary-contiguous.wgsl";
import binaryStrided from "./binary-strided.wgsl";
import erf from "./erf.wgsl";
import { roundsFor } from "./rounds.js";
import ternaryStrided from "./ternary-strided.wgsl";
import unaryContiguous from "./unary-contiguous.wgsl";
import unaryStrided from "./unary-strided.wgsl";

/**
 * An elementwise computation in WGSL. The formula sees its operands as `x` (or `a`, `b`, `c`), already of the compute
 * type `C`, and the numbers `s` and `t` of its scalar type. `C` is `vec4<T>` where no operand has gaps and `T` elsewhere, so the
 * formula must hold for both: write `C(0.5)`, `select` for a condition, and `&` in place of `&&`.
 */
export interface Formula {
  /** Name of the kernel, such as `gelu` or `gelu.backward`. */
  readonly name: string;
  /** WGSL expression, or statements that end in `return`. */
  readonly wgsl: string;
  /** Element type of the result. Default: that of the first operand. */
  readonly result?: Dtype;
  /** True if the expression is of bool type, to be stored as 0 or 1. */
  readonly condition?: boolean;
  /** True if the formula calls erf, normal_cdf or normal_pdf. */
  readonly erf?: boolean;
  /** Compute type: f32 for floats (default, f16 too), or the operands' own type for integers. */
  readonly compute?: "f32" | "i32" | "u32";
  readonly s?: number;
  readonly t?: number;
}

const kernels = {
  unaryContiguous: { name: "unary-contiguous", source: unaryContiguous },
  unaryStrided: { name: "unary-strided", source: unaryStrided },
  binaryContiguous: { name: "binary-contiguous", source: binaryContiguous },
  binaryStrided: { name: "binary-strided", source: binaryStrided },
  ternaryStrided: { name: "ternary-strided", source: ternaryStrided },
} satisfies Record<string, Kernel>;

function computeType(operands: readonly Tensor[], formula: Formula): "f32" | "i32" | "u32" {
  if (formula.compute) return formula.compute;
  if (operands.some((o) => isFloating(o.dtype))) return "f32";
  return operands.some((o) => o.dtype === "i32") ? "i32" : "u32";
}

/** The generated head: the compute type and the formula as `fn apply`. */
function head(formula: Formula, names: readonly string[], lanes: 1 | 4, compute: string): string {
  const type = lanes === 4 ? `vec4<${compute}>` : compute;
  const result = formula.condition ? (lanes === 4 ? "vec4<bool>" : "bool") : "C";
  const body = formula.wgsl.includes("return") ? formula.wgsl : `return ${formula.wgsl};`;
  const numbers = names.length < 3 ? "s: S, t: S" : "s: S";
  return [
    `// ${formula.name}`,
    `alias S = ${compute};`,
    `alias C = ${type};`,
    ...(formula.erf ? [erf] : []),
    `fn apply(${names.map((name) => `${name}: C`).join(", ")}, ${numbers}) -> ${result} { ${body} }`,
  ].join("\n");
}

const isVec4Aligned = (tensor: Tensor) => tensor.isContiguous && tensor.offset % 4 === 0;

/** True if `b`, without gaps, is repeated along the leading dimensions of `shape` and can be read in groups of four. */
function repeatsUnder(b: Tensor, shape: Shape): boolean {
  let first = 0;
  while (first < b.rank && b.shape[first] === 1) first++;
  const tail = b.shape.slice(first);
  const period = numel(tail);
  const same = tail.every((size, i) => size === shape[shape.length - tail.length + i]);
  return same && isVec4Aligned(b) && period > 0 && period % 4 === 0;
}

/** Evaluates a formula over one, two or three tensors, broadcast against each other, into a new tensor. */
export function launch(formula: Formula, operands: readonly Tensor[]): Tensor {
  const [a, b, c] = operands as [Tensor, Tensor | undefined, Tensor | undefined];
  const device = a.device;
  let shape: Shape = a.shape;
  for (const other of operands.slice(1)) shape = broadcastShapes(formula.name, shape, other.shape);
  const dtype = formula.result ?? (formula.condition ? "bool" : a.dtype);
  const y = Tensor.empty(device, shape, dtype);
  const count = numel(shape);
  if (count === 0) return y;
  const compute = computeType(operands, formula);
  const groups = Math.ceil(count / 4);
  const { rounds, grid } = roundsFor(device, groups);
  const buffers = [...operands.map((o) => o.storage.buffer), y.storage.buffer];
  const asCompute = (value: number): ParamValue => (compute === "f32" ? f32(value) : value);
  const s = asCompute(formula.s ?? 0);
  const t = asCompute(formula.t ?? 0);
  const full = (o: Tensor) => o.numel === count && isVec4Aligned(o);

  if (!b && full(a)) {
    device.run(kernels.unaryContiguous, {
      buffers,
      params: [groups, rounds, a.offset / 4, s, t],
      grid,
      specialisation: { types: { X: a.dtype, Y: dtype }, text: head(formula, ["x"], 4, compute) },
    });
    return y;
  }
  if (b && !c && full(a) && (full(b) || repeatsUnder(b, shape))) {
    const repeat = !full(b);
    device.run(kernels.binaryContiguous, {
      buffers,
      params: [groups, rounds, a.offset / 4, b.offset / 4, b.numel / 4, s, t],
      grid,
      specialisation: {
        types: { A: a.dtype, B: b.dtype, Y: dtype },
        constants: { REPEAT: repeat },
        text: head(formula, ["a", "b"], 4, compute),
      },
    });
    return y;
  }
  const merged = mergeDimensions(shape, [
    contiguousStrides(shape),
    ...operands.map((o) => broadcastStrides(o.shape, o.strides, shape)),
  ]);
  const sizes = eight(merged.shape, 1);
  const strides = merged.strides.slice(1).flatMap((list) => eight(list, 0));
  const rank = merged.shape.length;
  const call = { buffers, grid: gridFor(count, 64) };
  if (!b) {
    const params: ParamValue[] = [count, rank, s, t, a.offset, 0, 0, 0, ...sizes, ...strides];
    const specialisation = { types: { X: a.dtype, Y: dtype }, text: head(formula, ["x"], 1, compute) };
    device.run(kernels.unaryStrided, { ...call, params, specialisation });
  } else if (!c) {
    const params: ParamValue[] = [count, rank, s, t, a.offset, b.offset, 0, 0, ...sizes, ...strides];
    const specialisation = {
      types: { A: a.dtype, B: b.dtype, Y: dtype },
      text: head(formula, ["a", "b"], 1, compute),
    };
    device.run(kernels.binaryStrided, { ...call, params, specialisation });
  } else {
    const params: ParamValue[] = [count, rank, s, a.offset, b.offset, c.offset, 0, 0, ...sizes, ...strides];
    const types = { A: a.dtype, B: b.dtype, D: c.dtype, Y: dtype };
    const specialisation = { types, text: head(formula, ["a", "b", "c"], 1, compute) };
    device.run(kernels.ternaryStrided, { ...call, params, specialisation });
  }
  return y;
}
