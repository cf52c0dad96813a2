/**
 * Products of matrices for estimators that learn many vectors at once. A tile of 4 × 4 results is held in local variables, so
 * that each number that is loaded is used four times: of 200 vectors on 20,000 rows several times as fast as one vector after
 * the other, which fetches all rows for each of them.
 */
import type { DenseMatrix } from "./matrix.js";

/** Rows that are worked on together: with their results they stay in the cache of a core. */
export const BLOCK = 64;

/**
 * Products of some rows of a matrix with vectors: out = rows · vectorsᵀ.
 * @param from the first row
 * @param count rows
 * @param vectors [K, D], from the beginning of the array
 * @param width K
 * @param out [count, K], written
 */
export function multiplyBlock(
  matrix: DenseMatrix,
  from: number,
  count: number,
  vectors: Float64Array,
  width: number,
  out: Float64Array,
): void {
  const { data, columns } = matrix;
  const wholeRows = count - (count % 4);
  const wholeVectors = width - (width % 4);
  for (let k = 0; k < wholeVectors; k += 4) {
    const p = k * columns;
    for (let i = 0; i < wholeRows; i += 4) {
      tileOfProducts(data, (from + i) * columns, vectors, p, columns, out, i * width + k, width);
    }
  }
  for (let i = 0; i < count; i++) {
    const begin = i < wholeRows ? wholeVectors : 0;
    for (let k = begin; k < width; k++) {
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += data[(from + i) * columns + j]! * vectors[k * columns + j]!;
      out[i * width + k] = sum;
    }
  }
}

function tileOfProducts(
  x: Float64Array,
  a: number,
  v: Float64Array,
  p: number,
  columns: number,
  out: Float64Array,
  at: number,
  width: number,
): void {
  const b = a + columns;
  const c = b + columns;
  const d = c + columns;
  const q = p + columns;
  const r = q + columns;
  const s = r + columns;
  let ap = 0;
  let aq = 0;
  let ar = 0;
  let as = 0;
  let bp = 0;
  let bq = 0;
  let br = 0;
  let bs = 0;
  let cp = 0;
  let cq = 0;
  let cr = 0;
  let cs = 0;
  let dp = 0;
  let dq = 0;
  let dr = 0;
  let ds = 0;
  for (let j = 0; j < columns; j++) {
    const vp = v[p + j]!;
    const vq = v[q + j]!;
    const vr = v[r + j]!;
    const vs = v[s + j]!;
    const xa = x[a + j]!;
    ap += xa * vp;
    aq += xa * vq;
    ar += xa * vr;
    as += xa * vs;
    const xb = x[b + j]!;
    bp += xb * vp;
    bq += xb * vq;
    br += xb * vr;
    bs += xb * vs;
    const xc = x[c + j]!;
    cp += xc * vp;
    cq += xc * vq;
    cr += xc * vr;
    cs += xc * vs;
    const xd = x[d + j]!;
    dp += xd * vp;
    dq += xd * vq;
    dr += xd * vr;
    ds += xd * vs;
  }
  out[at] = ap;
  out[at + 1] = aq;
  out[at + 2] = ar;
  out[at + 3] = as;
  out[at + width] = bp;
  out[at + width + 1] = bq;
  out[at + width + 2] = br;
  out[at + width + 3] = bs;
  out[at + 2 * width] = cp;
  out[at + 2 * width + 1] = cq;
  out[at + 2 * width + 2] = cr;
  out[at + 2 * width + 3] = cs;
  out[at + 3 * width] = dp;
  out[at + 3 * width + 1] = dq;
  out[at + 3 * width + 2] = dr;
  out[at + 3 * width + 3] = ds;
}

/**
 * Adds the outer products of weights and rows: out += weightsᵀ · rows.
 * @param from the first row
 * @param count rows
 * @param weights [count, K]
 * @param width K
 * @param out [K, D], from the beginning of the array, added to
 */
export function addBlock(
  matrix: DenseMatrix,
  from: number,
  count: number,
  weights: Float64Array,
  width: number,
  out: Float64Array,
): void {
  const { data, columns } = matrix;
  const wholeColumns = columns - (columns % 4);
  const wholeVectors = width - (width % 4);
  for (let k = 0; k < wholeVectors; k += 4) {
    for (let j = 0; j < wholeColumns; j += 4) {
      tileOfSums(data, from * columns + j, columns, weights, k, width, count, out, k * columns + j);
    }
  }
  for (let k = 0; k < width; k++) {
    const begin = k < wholeVectors ? wholeColumns : 0;
    for (let j = begin; j < columns; j++) {
      let sum = 0;
      for (let i = 0; i < count; i++) sum += weights[i * width + k]! * data[(from + i) * columns + j]!;
      out[k * columns + j]! += sum;
    }
  }
}

function tileOfSums(
  x: Float64Array,
  from: number,
  columns: number,
  weights: Float64Array,
  first: number,
  width: number,
  count: number,
  out: Float64Array,
  at: number,
): void {
  let ap = 0;
  let aq = 0;
  let ar = 0;
  let as = 0;
  let bp = 0;
  let bq = 0;
  let br = 0;
  let bs = 0;
  let cp = 0;
  let cq = 0;
  let cr = 0;
  let cs = 0;
  let dp = 0;
  let dq = 0;
  let dr = 0;
  let ds = 0;
  let place = from;
  let k = first;
  for (let i = 0; i < count; i++) {
    const xp = x[place]!;
    const xq = x[place + 1]!;
    const xr = x[place + 2]!;
    const xs = x[place + 3]!;
    const a = weights[k]!;
    ap += a * xp;
    aq += a * xq;
    ar += a * xr;
    as += a * xs;
    const b = weights[k + 1]!;
    bp += b * xp;
    bq += b * xq;
    br += b * xr;
    bs += b * xs;
    const c = weights[k + 2]!;
    cp += c * xp;
    cq += c * xq;
    cr += c * xr;
    cs += c * xs;
    const d = weights[k + 3]!;
    dp += d * xp;
    dq += d * xq;
    dr += d * xr;
    ds += d * xs;
    place += columns;
    k += width;
  }
  out[at]! += ap;
  out[at + 1]! += aq;
  out[at + 2]! += ar;
  out[at + 3]! += as;
  out[at + columns]! += bp;
  out[at + columns + 1]! += bq;
  out[at + columns + 2]! += br;
  out[at + columns + 3]! += bs;
  out[at + 2 * columns]! += cp;
  out[at + 2 * columns + 1]! += cq;
  out[at + 2 * columns + 2]! += cr;
  out[at + 2 * columns + 3]! += cs;
  out[at + 3 * columns]! += dp;
  out[at + 3 * columns + 1]! += dq;
  out[at + 3 * columns + 2]! += dr;
  out[at + 3 * columns + 3]! += ds;
}
