/** What TensorBoard's `HistogramProto` holds. */
export interface Histogram {
  min: number;
  max: number;
  /** Values counted: the finite ones. */
  num: number;
  sum: number;
  sumSquares: number;
  /** Upper edge of each bucket, rising. */
  bucketLimit: number[];
  /** Values between the edge before and this one. */
  bucket: number[];
}

const SMALLEST = 1e-12;
const GROWTH = 1.1;
const LOG_GROWTH = Math.log(GROWTH);

/** Edges of the buckets above zero: each a tenth further than the one before, from 1e-12 to 1e20. */
const EDGES = risingEdges();
/** Buckets from one zero to the other: below -1e-12, around zero, above. */
const ZERO = EDGES.length;

function risingEdges(): Float64Array {
  const edges: number[] = [];
  for (let edge = SMALLEST; edge < 1e20; edge *= GROWTH) edges.push(edge);
  return Float64Array.from(edges);
}

/**
 * Counts values in TensorFlow's default buckets, whose width is a tenth of what they hold: fine near zero, where gradients are, and
 * coarse far from it. NaN and infinities are left out.
 */
export function histogramOf(values: ArrayLike<number>): Histogram {
  // Bucket ZERO + i counts EDGES[i - 1] ≤ |value| < EDGES[i]; negative values mirrored below ZERO.
  const counts = new Float64Array(2 * ZERO + 1);
  const result = { min: Infinity, max: -Infinity, num: 0, sum: 0, sumSquares: 0 };
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) continue;
    if (value < result.min) result.min = value;
    if (value > result.max) result.max = value;
    result.num += 1;
    result.sum += value;
    result.sumSquares += value * value;
    const rank = rankOf(Math.abs(value));
    counts[value < 0 ? ZERO - rank : ZERO + rank]! += 1;
  }
  if (result.num === 0) return { ...result, min: 0, max: 0, bucketLimit: [], bucket: [] };
  let first = 0;
  while (counts[first] === 0) first++;
  let last = counts.length - 1;
  while (counts[last] === 0) last--;
  // An empty bucket before the first tells where that one begins.
  const bucketLimit = first > 0 ? [upperEdge(first - 1)] : [];
  const bucket = first > 0 ? [0] : [];
  for (let i = first; i <= last; i++) {
    bucketLimit.push(upperEdge(i));
    bucket.push(counts[i]!);
  }
  return { ...result, bucketLimit, bucket };
}

/** How many edges are at or below a magnitude. */
function rankOf(magnitude: number): number {
  if (magnitude < SMALLEST) return 0;
  // The logarithm is off by one where rounding is.
  let rank = Math.min(ZERO, 1 + Math.floor(Math.log(magnitude / SMALLEST) / LOG_GROWTH));
  while (rank < ZERO && EDGES[rank]! <= magnitude) rank++;
  while (rank > 0 && EDGES[rank - 1]! > magnitude) rank--;
  return rank;
}

function upperEdge(bucket: number): number {
  if (bucket < ZERO) return -EDGES[ZERO - bucket - 1]!;
  return bucket === 2 * ZERO ? Number.MAX_VALUE : EDGES[bucket - ZERO]!;
}
