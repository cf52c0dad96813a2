/** A matrix or a batch of them on the host, row-major. */
export interface HostArray {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    return x === 1 ? y : x;
  });
}

/** For each element of `batch` in row-major order: which matrix of `own` it uses. */
function batchIndices(own: readonly number[], batch: readonly number[]): number[] {
  const count = batch.reduce((p, s) => p * s, 1);
  return Array.from({ length: count }, (_, flat) => {
    let rest = flat;
    let index = 0;
    let step = 1;
    for (let d = batch.length - 1; d >= 0; d--) {
      const i = rest % batch[d]!;
      rest = Math.floor(rest / batch[d]!);
      const size = own[own.length - batch.length + d] ?? 1;
      if (size > 1) index += i * step;
      step *= size;
    }
    return index;
  });
}

/** `[…, M, K]` × `[…, K, N]` in plain loops, summed in float64. Leading dimensions broadcast. */
export function matmulReference(a: HostArray, b: HostArray): { shape: number[]; data: Float64Array } {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const n = b.shape[b.shape.length - 1]!;
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const ofA = batchIndices(a.shape.slice(0, -2), batch);
  const ofB = batchIndices(b.shape.slice(0, -2), batch);
  const data = new Float64Array(ofA.length * m * n);
  for (let z = 0; z < ofA.length; z++) {
    for (let i = 0; i < m; i++) {
      // The sum over l outside of the loop over columns: the rows of b are then read in order.
      const row = data.subarray((z * m + i) * n, (z * m + i + 1) * n);
      for (let l = 0; l < k; l++) {
        const x = a.data[(ofA[z]! * m + i) * k + l]!;
        const start = (ofB[z]! * k + l) * n;
        for (let j = 0; j < n; j++) row[j]! += x * b.data[start + j]!;
      }
    }
  }
  return { shape: [...batch, m, n], data };
}

/** Gradients of `matmulReference` for the gradient `dy` of its result: dA = dY · Bᵀ and dB = Aᵀ · dY. */
export function matmulGradientReference(
  a: HostArray,
  b: HostArray,
  dy: ArrayLike<number>,
): { a: Float64Array; b: Float64Array } {
  const [m, k] = a.shape.slice(-2) as [number, number];
  const n = b.shape[b.shape.length - 1]!;
  const batch = broadcast(a.shape.slice(0, -2), b.shape.slice(0, -2));
  const ofA = batchIndices(a.shape.slice(0, -2), batch);
  const ofB = batchIndices(b.shape.slice(0, -2), batch);
  const da = new Float64Array(a.data.length);
  const db = new Float64Array(b.data.length);
  for (let z = 0; z < ofA.length; z++) {
    for (let i = 0; i < m; i++) {
      for (let j = 0; j < n; j++) {
        const g = dy[(z * m + i) * n + j]!;
        for (let l = 0; l < k; l++) {
          const p = (ofA[z]! * m + i) * k + l;
          const q = (ofB[z]! * k + l) * n + j;
          da[p]! += g * b.data[q]!;
          db[q]! += g * a.data[p]!;
        }
      }
    }
  }
  return { a: da, b: db };
}

/** Gauss error function in float64, error under 1e-15: its series near 0, the continued fraction of erfc beyond. */
function erf(x: number): number {
  const s = x * x;
  if (s < 9) {
    let [term, total] = [x, x];
    for (let i = 1; Math.abs(term) > 1e-17 * Math.abs(total); i++) {
      term *= -s / i;
      total += term / (2 * i + 1);
    }
    return (2 / Math.sqrt(Math.PI)) * total;
  }
  let tail = 0;
  for (let i = 60; i > 0; i--) tail = i / 2 / (Math.abs(x) + tail);
  return Math.sign(x) * (1 - Math.exp(-s) / Math.sqrt(Math.PI) / (Math.abs(x) + tail));
}

const cdf = (x: number) => 0.5 * (1 + erf(x / Math.SQRT2));
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** The activations that may follow a product, with their derivatives, in float64. */
export const activations = {
  gelu: {
    value: (x: number) => x * cdf(x),
    slope: (x: number) => cdf(x) + (x * Math.exp(-0.5 * x * x)) / Math.sqrt(2 * Math.PI),
  },
  quick_gelu: {
    value: (x: number) => x * sigmoid(1.702 * x),
    slope: (x: number) => {
      const g = sigmoid(1.702 * x);
      return g * (1 + 1.702 * x * (1 - g));
    },
  },
  relu: { value: (x: number) => Math.max(x, 0), slope: (x: number) => (x > 0 ? 1 : 0) },
} as const;
