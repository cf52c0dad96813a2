import { matmulReference } from "../matmul/reference.js";

/** Sizes and inputs of a call, as plain arrays, row-major. */
export interface LowRankCall {
  readonly rows: number;
  readonly inner: number;
  readonly out: number;
  readonly rank: number;
  readonly x: ArrayLike<number>;
  readonly weight: ArrayLike<number>;
  /** Null for none. */
  readonly bias: ArrayLike<number> | null;
  readonly a: ArrayLike<number>;
  readonly b: ArrayLike<number>;
  readonly scaling: number;
  /** What each element of x is multiplied by on its way into A: 0, or 1 / (1 - p). Null without dropout. */
  readonly mask: ArrayLike<number> | null;
}

const transposed = (data: ArrayLike<number>, rows: number, columns: number) =>
  Float64Array.from({ length: rows * columns }, (_, p) => data[(p % rows) * columns + Math.floor(p / rows)]!);

/** a [m, k] · b [k, n] */
const times = (a: ArrayLike<number>, b: ArrayLike<number>, m: number, k: number, n: number) =>
  matmulReference({ shape: [m, k], data: a }, { shape: [k, n], data: b }).data;

/** dropout(x). */
function dropped({ x, mask }: LowRankCall): Float64Array {
  return Float64Array.from(x, (value, i) => value * (mask?.[i] ?? 1));
}

/** x Wᵀ + bias + scaling · (dropout(x) Aᵀ) Bᵀ in plain loops, `[rows, out]`, in float64. */
export function linearLowRankReference(call: LowRankCall): Float64Array {
  const { rows, inner, out, rank, x, weight, bias, a, b, scaling } = call;
  const y = times(x, transposed(weight, out, inner), rows, inner, out);
  const narrow = times(dropped(call), transposed(a, rank, inner), rows, inner, rank);
  const wide = times(narrow, transposed(b, out, rank), rows, rank, out);
  return y.map((sum, i) => sum + (bias?.[i % out] ?? 0) + scaling * wide[i]!);
}

/** Gradients for the gradient `dy` of the result. */
export function linearLowRankGradients(
  call: LowRankCall,
  dy: ArrayLike<number>,
): Record<"x" | "weight" | "bias" | "a" | "b", Float64Array> {
  const { rows, inner, out, rank, x, weight, a, b, scaling, mask } = call;
  const input = dropped(call);
  const narrow = times(input, transposed(a, rank, inner), rows, inner, rank);
  const dNarrow = times(dy, b, rows, out, rank).map((value) => scaling * value);
  const dInput = times(dNarrow, a, rows, rank, inner);
  const columns = transposed(dy, rows, out);
  return {
    x: times(dy, weight, rows, out, inner).map((value, i) => value + dInput[i]! * (mask?.[i] ?? 1)),
    weight: times(columns, x, out, rows, inner),
    bias: times(columns, new Float64Array(rows).fill(1), out, rows, 1),
    a: times(transposed(dNarrow, rows, rank), input, rank, rows, inner),
    b: times(columns, narrow, out, rows, rank).map((value) => scaling * value),
  };
}
