import type { ParamValue } from "../../device/kernel.js";
import {
  broadcastShapes,
  broadcastStrides,
  mergeDimensions,
  numel,
  type Shape,
  viewStrides,
} from "../../shape.js";
import { Tensor } from "../../tensor.js";
import rowSumsSource from "./row-sums.wgsl";
import { chooseVariant } from "./variants.js";

/** Batch dimensions that the kernels step through; more are merged, or copied if they do not merge. */
const BATCH_RANK = 4;
/** Workgroups that one dispatch may have along an axis, on every adapter. */
const MAX_GROUPS = 65535;

/** Stands in for `row-sums.wgsl` where the sums are not wanted. */
const noRowSums = "fn store_row_sums(row: u32, totals: vec4<f32>) {}";

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

function layoutOf(a: Tensor, b: Tensor, batch: Shape): Layout | null {
  const strides = (x: Tensor) => broadcastStrides(x.shape.slice(0, -2), x.strides.slice(0, -2), batch);
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
  a: Tensor,
  b: Tensor,
  bias: Tensor | null,
): { aTransposed: boolean; bTransposed: boolean } | null {
  if (!divisible(l.n, l.k, a.offset, b.offset, bias?.offset ?? 0, ...l.aBatch, ...l.bBatch)) return null;
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

/**
 * a · b (+ bias), without tape: `[..., M, K]` × `[..., K, N]` (+ `[N]`) → `[..., M, N]`. Leading dimensions are
 * broadcast. Views are read where they lie: a transposed matrix costs no copy.
 * Sums are taken in f32 whatever the element type. Shapes and types must have been checked.
 * @param shape of the result, if it is to have its elements in another shape. Better than a reshape afterwards: the result
 * is then alone in its memory, and a gradient that is need not be copied into `.grad`.
 */
export function product(a: Tensor, b: Tensor, bias: Tensor | null = null, shape?: Shape): Tensor {
  const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const result = shape ?? [...batch, a.shape[a.rank - 2]!, b.shape[b.rank - 1]!];
  if (batch.length > 0 && isSingleMatrix(b)) {
    const folded = foldRows(a);
    if (folded && folded.shape[0] === numel(batch) * a.shape[a.rank - 2]!) {
      const matrix = new Tensor(b.storage, b.shape.slice(-2), b.strides.slice(-2), b.offset, b.dtype);
      return product(folded, matrix, bias, result);
    }
  }
  const layout = layoutOf(a, b, batch);
  if (!layout) {
    const whole = (x: Tensor) => x.expand([...batch, ...x.shape.slice(-2)]).contiguous();
    return product(whole(a), whole(b), bias, result);
  }
  const y = Tensor.empty(a.device, result, a.dtype);
  if (y.numel > 0) dispatch(layout, a, b, bias === null ? null : bias.contiguous(), y);
  return y;
}

/**
 * a · b of two matrices and the sum of each row of a, `[M, K]` × `[K, N]` → `[M, N]` and `[M]`: in one dispatch where the
 * variant can do that, else the sums are the caller's work and null here.
 */
export function productAndRowSums(a: Tensor, b: Tensor): { y: Tensor; rowSums: Tensor | null } {
  const layout = layoutOf(a, b, [])!;
  const y = Tensor.empty(a.device, [layout.m, layout.n], a.dtype);
  const able =
    y.numel > 0 && chooseVariant(a.device, { batch: 1, m: layout.m, n: layout.n, k: layout.k }).sumsRows;
  const rowSums = able ? Tensor.empty(a.device, [layout.m], a.dtype) : null;
  if (y.numel > 0) dispatch(layout, a, b, null, y, rowSums);
  return { y, rowSums };
}

function dispatch(
  l: Layout,
  a: Tensor,
  b: Tensor,
  bias: Tensor | null,
  y: Tensor,
  rowSums: Tensor | null = null,
): void {
  const { device } = a;
  const count = numel(l.batch);
  const form = vec4Form(l, a, b, bias);
  const variant = chooseVariant(device, { batch: count, m: l.m, n: l.n, k: l.k });
  const kernel = form ? variant.kernels.vec4 : variant.kernels.strided;
  const blocks = variant.kernels.vec4 !== variant.kernels.strided;
  // Where vec4s are read, strides and offsets count vec4s; a stride of 1 belongs to the axis along which they run.
  const unit = form && blocks ? 4 : 1;
  const scaled = (values: readonly number[]) => values.map((value) => (value === 1 ? 1 : value / unit));
  const launch = variant.launch(device);
  for (let first = 0; first < count; first += MAX_GROUPS) {
    const params: ParamValue[] = [
      ...[l.m, l.n, l.k, first],
      ...[a.offset / unit, ...scaled([l.m === 1 ? unit : l.aRow, l.aK]), (bias?.offset ?? 0) / unit],
      ...[b.offset / unit, ...scaled([l.bK, l.bColumn]), bias ? 1 : 0],
      ...four(l.batch, 1),
      ...four(l.aBatch, 0).map((stride) => stride / unit),
      ...four(l.bBatch, 0).map((stride) => stride / unit),
    ];
    device.run(kernel, {
      buffers: [a, b, bias ?? a, y, ...(rowSums ? [rowSums] : [])].map((tensor) => tensor.storage.buffer),
      params,
      grid: [
        Math.ceil(l.n / launch.columns),
        Math.ceil(l.m / launch.rows),
        Math.min(count - first, MAX_GROUPS),
      ],
      specialisation: {
        types: { T: a.dtype },
        constants: {
          ...launch.constants,
          ...(blocks && form ? { A_TRANSPOSED: form.aTransposed, B_TRANSPOSED: form.bTransposed } : {}),
          ...(variant.sumsRows ? { ROW_SUMS: rowSums !== null, ROLLED_STORES: a.dtype === "f16" } : {}),
        },
        ...(variant.sumsRows ? { text: rowSums ? rowSumsSource : noRowSums } : {}),
      },
    });
  }
}
