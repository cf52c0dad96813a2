import { f32, gridFor, type Kernel, type ParamValue } from "../../device/kernel.js";
import type { PooledBuffer } from "../../device/pool.js";
import type { Dtype } from "../../dtype.js";
import { choose } from "../../kernels/ladder.js";
import { NO_RANGE } from "../../random/generator.js";
import {
  broadcastShapes,
  broadcastStrides,
  mergeDimensions,
  numel,
  type Shape,
  viewStrides,
} from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { applyDropout, type DrawnDropout, dropoutScale } from "../dropout/index.js";
import beforeSource from "./before.wgsl";
import { type MatmulProblem, type MatmulStep, matmulLadder } from "./ladder.js";
import rowSumsSource from "./row-sums.wgsl";

/** Batch dimensions that the kernels step through; more are merged, or copied if they do not merge. */
const BATCH_RANK = 4;
/** Workgroups that one dispatch may have along an axis, on every adapter. */
const MAX_GROUPS = 65535;

/** Stands in for `row-sums.wgsl` where the sums are not wanted. */
const noRowSums = "fn store_row_sums(row: u32, totals: vec4<f32>) {}";
/** Stands in for `before.wgsl` where what goes into an activation is not kept. */
const noBefore = "fn write_before(at: u32, value: Y) {}";

/** What may follow a product in the same kernel. `gelu` is the exact one, by erf; `quick_gelu` is x sigmoid(1.702 x). */
export type Activation = "gelu" | "quick_gelu" | "relu";

/** Numbers of `epilogue.wgsl`. */
const ACTIVATION = { gelu: 2, quick_gelu: 3, relu: 4 } as const;
const ADDEND = 1;
const SLOPE = 3;

/** Number of the derivative of an activation. */
export function slopeNumber(activation: Activation): number {
  return ACTIVATION[activation] + SLOPE;
}

/** A second pair of matrices, whose product is added to that of the first: see `second.wgsl`. */
export interface SecondPair {
  /** `[M, K₂]` */
  readonly a: Tensor;
  /** `[K₂, N]` */
  readonly b: Tensor;
  /** What a₂ · b₂ goes through before it is added. Not with `bias`. */
  readonly dropout?: DrawnDropout | null;
}

/** What a product does besides, in the same dispatch. At most one of `addend`, `activation`, `slope` and `scale`. */
export interface ProductOptions {
  /** `[N]`, added to every row. */
  readonly bias?: Tensor | null;
  /** Added to the result: as many elements as it has, in the same order. */
  readonly addend?: Tensor | null;
  /** Put on the result after the bias. */
  readonly activation?: Activation | null;
  /** With `activation`: what goes into it is wanted too, for its backward. */
  readonly keepBefore?: boolean;
  /** The result is multiplied with the derivative of an activation at `at`, which has as many elements. */
  readonly slope?: { readonly activation: Activation; readonly at: Tensor } | null;
  /** The result is multiplied by this number. Not with `bias`. */
  readonly scale?: number;
  /**
   * Added to the product, of two matrices. In the same dispatch where the kernel can do it and everything lies in fours, else in
   * one of its own (two with dropout). With `bias` or `addend` at most.
   */
  readonly second?: SecondPair | null;
  /** The sum of each row of a is wanted too; for two matrices. */
  readonly rowSums?: boolean;
  /**
   * Of the result, if it is to have its elements in another shape. Better than a reshape afterwards: the result is then alone
   * in its memory, and a gradient that is need not be copied into `.grad`.
   */
  readonly shape?: Shape;
  /** Element type of the result, default that of a. */
  readonly dtype?: Dtype;
}

/** The product and what else was asked for; null where it was not, or the kernel cannot do it (`rowSums`). */
export interface ProductParts {
  readonly y: Tensor;
  readonly before: Tensor | null;
  readonly rowSums: Tensor | null;
}

/** Two operands as the kernels see them: sizes, and strides in elements. */
interface Layout {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly batch: readonly number[];
  readonly aBatch: readonly number[];
  readonly bBatch: readonly number[];
  readonly aRow: number;
  readonly aK: number;
  readonly bK: number;
  readonly bColumn: number;
}

/** `[..., rows, columns]` as one matrix with the leading dimensions folded into the rows, or null if that needs a copy. */
export function foldRows(x: Tensor): Tensor | null {
  const columns = x.shape[x.rank - 1]!;
  const shape = [numel(x.shape.slice(0, -1)), columns];
  const strides = viewStrides(x.shape, x.strides, shape);
  return strides && new Tensor(x.storage, shape, strides, x.offset, x.dtype);
}

/** True if no dimension before the last two has more than one element. */
export function isSingleMatrix(x: Tensor): boolean {
  return x.shape.slice(0, -2).every((size) => size === 1);
}

/** What of an operand the choice of a kernel depends on. */
export type Operand = Pick<Tensor, "shape" | "strides" | "offset" | "rank" | "dtype">;

function layoutOf(a: Operand, b: Operand, batch: Shape): Layout | null {
  const strides = (x: Operand) => broadcastStrides(x.shape.slice(0, -2), x.strides.slice(0, -2), batch);
  const merged = mergeDimensions(batch, [strides(a), strides(b)]);
  if (merged.shape.length > BATCH_RANK) return null;
  return {
    m: a.shape[a.rank - 2]!,
    n: b.shape[b.rank - 1]!,
    k: a.shape[a.rank - 1]!,
    batch: merged.shape,
    aBatch: merged.strides[0]!,
    bBatch: merged.strides[1]!,
    aRow: a.strides[a.rank - 2]!,
    aK: a.strides[a.rank - 1]!,
    bK: b.strides[b.rank - 2]!,
    bColumn: b.strides[b.rank - 1]!,
  };
}

const divisible = (...values: number[]) => values.every((value) => value % 4 === 0);

/**
 * Which of the last two dimensions of each operand runs without gaps, if everything else comes in fours, else null: see
 * the conditions in `blocks-vec4.wgsl`.
 */
function vec4Form(
  l: Layout,
  a: Operand,
  b: Operand,
  offsets: readonly number[],
): { aTransposed: boolean; bTransposed: boolean } | null {
  if (!divisible(l.n, l.k, a.offset, b.offset, ...offsets, ...l.aBatch, ...l.bBatch)) return null;
  const aPlain = l.aK === 1 && (divisible(l.aRow) || l.m === 1);
  const aTransposed = !aPlain && l.aRow === 1 && divisible(l.aK, l.m);
  const bPlain = l.bColumn === 1 && divisible(l.bK);
  const bTransposed = !bPlain && l.bK === 1 && divisible(l.bColumn);
  return (aPlain || aTransposed) && (bPlain || bTransposed) ? { aTransposed, bTransposed } : null;
}

/** Pads a list to the four entries of a vec4, at the front. */
function four(values: readonly number[], fill: number): number[] {
  return [...new Array<number>(BATCH_RANK - values.length).fill(fill), ...values];
}

/** `t` if the elements of a column are neighbours and those of a row are not. */
const way = (row: number, column: number) => (row === 1 && column !== 1 ? "t" : "n");

function problemFrom(l: Layout, types: MatmulProblem["types"], vec4: boolean): MatmulProblem {
  const layout = `${way(l.aRow, l.aK)}${way(l.bK, l.bColumn)}` as const;
  return { batch: numel(l.batch), m: l.m, n: l.n, k: l.k, layout, types, vec4 };
}

/** The problem that `product` of these operands chooses a kernel for, if they have the same leading dimensions. */
export function problemOf(a: Operand, b: Operand, dtype: Dtype): MatmulProblem {
  const layout = layoutOf(a, b, a.shape.slice(0, -2))!;
  return problemFrom(layout, [a.dtype, b.dtype, dtype], vec4Form(layout, a, b, []) !== null);
}

/**
 * a · b with what `options` adds, without tape: `[..., M, K]` × `[..., K, N]` → `[..., M, N]`. Leading dimensions are
 * broadcast. Views are read where they lie: a transposed matrix costs no copy. Operands, bias and result may each be f32 or
 * f16; sums are taken in f32. Shapes and types must have been checked.
 */
export function product(a: Tensor, b: Tensor, options: ProductOptions = {}): Tensor {
  return productParts(a, b, options).y;
}

/** `product` with its by-products. */
export function productParts(a: Tensor, b: Tensor, options: ProductOptions = {}): ProductParts {
  const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const shape = options.shape ?? [...batch, a.shape[a.rank - 2]!, b.shape[b.rank - 1]!];
  if (batch.length > 0 && isSingleMatrix(b)) {
    const folded = foldRows(a);
    if (folded && folded.shape[0] === numel(batch) * a.shape[a.rank - 2]!) {
      const matrix = new Tensor(b.storage, b.shape.slice(-2), b.strides.slice(-2), b.offset, b.dtype);
      return productParts(folded, matrix, { ...options, shape });
    }
  }
  const layout = layoutOf(a, b, batch);
  if (!layout) {
    const whole = (x: Tensor) => x.expand([...batch, ...x.shape.slice(-2)]).contiguous();
    return productParts(whole(a), whole(b), { ...options, shape });
  }
  return dispatch(layout, a, b, shape, options);
}

function dispatch(l: Layout, a: Tensor, b: Tensor, shape: Shape, options: ProductOptions): ProductParts {
  const { device } = a;
  const dtype = options.dtype ?? a.dtype;
  const y = Tensor.empty(device, shape, dtype);
  if (y.numel === 0) return { y, before: options.keepBefore ? y.alias() : null, rowSums: null };
  const bias = options.bias?.contiguous() ?? null;
  const beside = options.addend ?? options.slope?.at ?? null;
  const extra = beside && (beside.dtype === dtype ? beside : beside.to(dtype)).contiguous();
  const form = vec4Form(l, a, b, [bias?.offset ?? 0, extra?.offset ?? 0]);
  const problem = problemFrom(l, [a.dtype, b.dtype, dtype], form !== null);
  const { step } = choose(device, matmulLadder, problem);
  const before = options.activation && options.keepBefore ? Tensor.empty(device, shape, dtype) : null;
  const pair = options.second ?? null;
  const second = pair && form && pairFits(pair, form.bTransposed) ? step.kernels.second : undefined;
  if (pair && !second) {
    y.dispose();
    return { y: withSecond(a, b, shape, options, pair), before: null, rowSums: null };
  }
  const rowSums = options.rowSums && step.sumsRows ? Tensor.empty(device, [l.m], dtype) : null;
  const result = { y, before, rowSums };
  const own = second && pair ? { kernel: second, ...pair } : null;
  const { scale = 1 } = options;
  const epilogue = epilogueOf(options);
  const task: Task = { l, a, b, bias, extra, scale, second: own, epilogue, form, problem, step, result };
  if (step.parts) inParts(task, step.parts(problem));
  else inOne(task);
  return result;
}

/** A product whose kernel is chosen and whose results have their memory. */
interface Task {
  readonly l: Layout;
  readonly a: Tensor;
  readonly b: Tensor;
  readonly bias: Tensor | null;
  readonly extra: Tensor | null;
  readonly scale: number;
  readonly second: (SecondPair & { readonly kernel: Kernel }) | null;
  /** Number of `epilogue.wgsl`. */
  readonly epilogue: number;
  readonly form: ReturnType<typeof vec4Form>;
  readonly problem: MatmulProblem;
  readonly step: MatmulStep;
  readonly result: ProductParts;
}

function epilogueOf({ activation, slope, addend }: ProductOptions): number {
  if (activation) return ACTIVATION[activation];
  if (slope) return slopeNumber(slope.activation);
  return addend ? ADDEND : 0;
}

/** Whether the second operands lie as `second.wgsl` reads them: in fours, without gaps, the right one the way round that b is. */
function pairFits({ a, b }: SecondPair, bTransposed: boolean): boolean {
  const right = bTransposed ? b.transpose(0, 1) : b;
  return divisible(a.shape[1]!, a.offset, b.offset) && a.isContiguous && right.isContiguous;
}

/** The same in dispatches of their own. */
function withSecond(
  a: Tensor,
  b: Tensor,
  shape: Shape,
  { second: _, ...options }: ProductOptions,
  pair: SecondPair,
): Tensor {
  const { y } = productParts(a, b, { ...options, shape });
  const { dtype } = y;
  if (!pair.dropout) return product(pair.a, pair.b, { addend: y, shape, dtype });
  return y.add(applyDropout(product(pair.a, pair.b, { shape, dtype }), pair.dropout));
}

/** Numbers of a product beside its sizes and strides, in the order of `params.wgsl`. Offsets are in units of as many elements. */
function furtherParams({ extra, epilogue, scale, second }: Partial<Task>, unit: number): ParamValue[] {
  const dropout = second?.dropout ?? null;
  return [
    ...[(extra?.offset ?? 0) / unit, epilogue ?? 0, second?.a.shape[1] ?? 0, f32(scale ?? 1)],
    ...[(second?.a.offset ?? 0) / unit, (second?.b.offset ?? 0) / unit],
    ...[f32(dropout?.p ?? 0), f32(dropoutScale(dropout?.p ?? 0))],
    ...(dropout?.range ?? NO_RANGE).params,
  ];
}

/** One dispatch, or more for a batch that is too large for one. */
function inOne(task: Task): void {
  const { l, a, b, bias, extra, scale, second, epilogue, form, problem, step, result } = task;
  const { y, before, rowSums } = result;
  const kernel = second?.kernel ?? (form ? step.kernels.vec4 : step.kernels.strided);
  const blocks = step.kernels.vec4 !== step.kernels.strided;
  // Where vec4s are read, strides and offsets count vec4s; a stride of 1 belongs to the axis along which they run.
  const unit = form && blocks ? 4 : 1;
  const scaled = (values: readonly number[]) => values.map((value) => (value === 1 ? 1 : value / unit));
  const launch = step.launch(a.device, problem);
  const ways = {
    A_TRANSPOSED: form ? form.aTransposed : problem.layout[0] === "t",
    B_TRANSPOSED: form ? form.bTransposed : problem.layout[1] === "t",
  };
  const written = before ?? rowSums;
  const further = second ? [second.a, second.b] : written ? [written] : [];
  const buffers = [a, b, bias ?? a, y, extra ?? a, ...further].map((tensor) => tensor.storage.buffer);
  const specialisation = {
    types: {
      ...{ TA: a.dtype, TB: b.dtype, TBIAS: bias?.dtype ?? a.dtype, TY: y.dtype },
      ...launch.types,
      ...(second ? { TC: second.a.dtype, TD: second.b.dtype } : {}),
    },
    constants: {
      ...launch.constants,
      ACTIVATIONS: !second && scale === 1 && (step.oneProgram || epilogue > ADDEND),
      SCALES: scale !== 1,
      ...(second ? { DROPS: Boolean(second.dropout) } : {}),
      ...(blocks ? ways : {}),
      ...(step.sumsRows ? { ROW_SUMS: rowSums !== null } : {}),
    },
    text: [
      before ? beforeSource : noBefore,
      ...(step.sumsRows ? [rowSums ? rowSumsSource : noRowSums] : []),
    ].join("\n"),
  };
  for (let first = 0; first < problem.batch; first += MAX_GROUPS) {
    const groups = Math.min(problem.batch - first, MAX_GROUPS);
    const params: ParamValue[] = [
      ...[l.m, l.n, l.k, first],
      ...[a.offset / unit, ...scaled([l.m === 1 ? unit : l.aRow, l.aK]), (bias?.offset ?? 0) / unit],
      ...[b.offset / unit, ...scaled([l.bK, l.bColumn]), bias ? 1 : 0],
      ...four(l.batch, 1),
      ...four(l.aBatch, 0).map((stride) => stride / unit),
      ...four(l.bBatch, 0).map((stride) => stride / unit),
      ...furtherParams(task, unit),
    ];
    a.device.run(kernel, {
      buffers,
      params,
      grid: [Math.ceil(l.n / launch.columns), Math.ceil(l.m / launch.rows), groups],
      specialisation,
      cost: { flop: 2 * groups * l.m * l.n * (l.k + (second?.a.shape[1] ?? 0)), bytes: bytesOf(buffers) },
    });
  }
}

/** A long sum in parts: a batched product, then the sum of its results. See `7-split-k.wgsl`. */
function inParts(task: Task, count: number): void {
  const { l, a, b, bias, extra, scale, epilogue, step, result } = task;
  const length = l.k / count;
  const cut = (x: Tensor, shape: Shape, strides: readonly number[]) =>
    new Tensor(x.storage, [count, ...shape], strides, x.offset, x.dtype);
  const parts = product(
    cut(a, [l.m, length], [length * l.aK, l.aRow, l.aK]),
    cut(b, [length, l.n], [length * l.bK, l.bK, l.bColumn]),
    { dtype: "f32" },
  );
  const { y, before } = result;
  const tensors = [parts, parts, bias ?? parts, y, extra ?? parts, ...(before ? [before] : [])];
  const buffers = tensors.map((tensor) => tensor.storage.buffer);
  a.device.run(step.kernels.strided, {
    buffers,
    params: [
      ...[l.m, l.n, count, 0],
      ...[0, 0, 0, bias?.offset ?? 0],
      ...[0, 0, 0, bias ? 1 : 0],
      ...new Array<number>(3 * BATCH_RANK).fill(0),
      ...furtherParams(task, 1),
    ],
    grid: gridFor(l.m * l.n, 64),
    specialisation: {
      types: { TBIAS: bias?.dtype ?? "f32", TY: y.dtype },
      constants: { ACTIVATIONS: epilogue > ADDEND, SCALES: scale !== 1 },
      text: before ? beforeSource : noBefore,
    },
    cost: { flop: 0, bytes: bytesOf(buffers) },
  });
}

/** Bytes of the tensors bound, each once. */
function bytesOf(buffers: readonly PooledBuffer[]): number {
  return [...new Set(buffers)].reduce((sum, buffer) => sum + buffer.requested, 0);
}
