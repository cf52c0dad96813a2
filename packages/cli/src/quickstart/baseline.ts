/** Options of {@link BagOfWords.train}. */
export interface BagOfWordsOptions {
  /** Inverse strength of the L2 penalty, as in scikit-learn; default 1. */
  c?: number;
  /** Stops when no entry of the gradient is larger; default 1e-4, scikit-learn's. */
  tolerance?: number;
  /** Default 1000. */
  maxIterations?: number;
}

/** One text as the words of the vocabulary in it and how often each comes. */
interface Counts {
  words: Int32Array;
  counts: Float64Array;
}

const HISTORY = 10;

/**
 * L2-regularised logistic regression on counts of single words: what can be told from a sentence's words when their
 * order is thrown away. Minimises |w|²/2 + c · Σ log-loss, the intercept unpenalised, by L-BFGS: the objective of
 * scikit-learn's `LogisticRegression` behind a `CountVectorizer` that splits at white space.
 */
export class BagOfWords {
  readonly vocabulary: ReadonlyMap<string, number>;
  /** One weight a word, then the intercept; positive speaks for label 1. */
  readonly weights: Float64Array;
  /** Steps that the optimiser took. */
  readonly iterations: number;

  private constructor(vocabulary: ReadonlyMap<string, number>, weights: Float64Array, iterations: number) {
    this.vocabulary = vocabulary;
    this.weights = weights;
    this.iterations = iterations;
  }

  /** @param texts N sentences  @param labels N labels, 0 or 1 */
  static train(
    texts: readonly string[],
    labels: ArrayLike<number>,
    options: BagOfWordsOptions = {},
  ): BagOfWords {
    const vocabulary = new Map<string, number>();
    for (const text of texts) {
      for (const word of split(text)) if (!vocabulary.has(word)) vocabulary.set(word, vocabulary.size);
    }
    const rows = texts.map((text) => count(text, vocabulary));
    const objective = (w: Float64Array): { loss: number; gradient: Float64Array } =>
      lossAndGradient(w, rows, labels, options.c ?? 1);
    const start = new Float64Array(vocabulary.size + 1);
    const { weights, iterations } = minimise(
      objective,
      start,
      options.tolerance ?? 1e-4,
      options.maxIterations ?? 1000,
    );
    return new BagOfWords(vocabulary, weights, iterations);
  }

  /** 0 or 1. */
  predict(text: string): number {
    return score(this.weights, count(text, this.vocabulary)) > 0 ? 1 : 0;
  }

  /** The share of texts whose label is predicted. */
  accuracy(texts: readonly string[], labels: ArrayLike<number>): number {
    const right = texts.filter((text, i) => this.predict(text) === labels[i]).length;
    return right / texts.length;
  }
}

function split(text: string): string[] {
  return text.toLowerCase().split(/\s+/).filter(Boolean);
}

function count(text: string, vocabulary: ReadonlyMap<string, number>): Counts {
  const times = new Map<number, number>();
  for (const word of split(text)) {
    const id = vocabulary.get(word);
    if (id !== undefined) times.set(id, (times.get(id) ?? 0) + 1);
  }
  return { words: Int32Array.from(times.keys()), counts: Float64Array.from(times.values()) };
}

function score(weights: Float64Array, row: Counts): number {
  let sum = weights[weights.length - 1]!;
  for (let k = 0; k < row.words.length; k++) sum += weights[row.words[k]!]! * row.counts[k]!;
  return sum;
}

function lossAndGradient(
  weights: Float64Array,
  rows: readonly Counts[],
  labels: ArrayLike<number>,
  c: number,
): { loss: number; gradient: Float64Array } {
  const intercept = weights.length - 1;
  const gradient = weights.slice();
  gradient[intercept] = 0;
  let loss = dot(gradient, gradient) / 2;
  for (const [i, row] of rows.entries()) {
    const z = score(weights, row);
    const sign = labels[i] === 1 ? 1 : -1;
    // log(1 + e^-m) without overflow, for the margin m = sign · z.
    const m = sign * z;
    loss += c * (m > 0 ? Math.log1p(Math.exp(-m)) : -m + Math.log1p(Math.exp(m)));
    const slope = (-c * sign) / (1 + Math.exp(m));
    for (let k = 0; k < row.words.length; k++) gradient[row.words[k]!]! += slope * row.counts[k]!;
    gradient[intercept]! += slope;
  }
  return { loss, gradient };
}

/** L-BFGS with a backtracking line search (Nocedal & Wright 2006, algorithm 7.4), for smooth convex functions. */
function minimise(
  objective: (w: Float64Array) => { loss: number; gradient: Float64Array },
  start: Float64Array,
  tolerance: number,
  maxIterations: number,
): { weights: Float64Array; iterations: number } {
  let weights = start;
  let { loss, gradient } = objective(weights);
  const history: { s: Float64Array; y: Float64Array; rho: number }[] = [];
  let iterations = 0;
  while (iterations < maxIterations && gradient.some((g) => Math.abs(g) > tolerance)) {
    const direction = descentDirection(gradient, history);
    const slope = dot(gradient, direction);
    let step = history.length === 0 ? 1 / Math.sqrt(dot(gradient, gradient)) : 1;
    let next = objective(add(weights, direction, step));
    while (next.loss > loss + 1e-4 * step * slope && step > 1e-12) {
      step /= 2;
      next = objective(add(weights, direction, step));
    }
    // No step makes it smaller any more: rounding is all that is left.
    if (next.loss >= loss) break;
    const s = direction.map((d) => step * d);
    const y = next.gradient.map((g, i) => g - gradient[i]!);
    const curvature = dot(s, y);
    if (curvature > 0) history.push({ s, y, rho: 1 / curvature });
    if (history.length > HISTORY) history.shift();
    weights = add(weights, direction, step);
    ({ loss, gradient } = next);
    iterations++;
  }
  return { weights, iterations };
}

function descentDirection(
  gradient: Float64Array,
  history: readonly { s: Float64Array; y: Float64Array; rho: number }[],
): Float64Array {
  let q: Float64Array = gradient.slice();
  const alphas: number[] = [];
  for (const { s, y, rho } of [...history].reverse()) {
    const alpha = rho * dot(s, q);
    alphas.unshift(alpha);
    q = add(q, y, -alpha);
  }
  const last = history.at(-1);
  if (last !== undefined) {
    const scale = dot(last.s, last.y) / dot(last.y, last.y);
    q = q.map((v) => v * scale);
  }
  for (const [k, { s, y, rho }] of history.entries()) q = add(q, s, alphas[k]! - rho * dot(y, q));
  return q.map((v) => -v);
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function add(a: Float64Array, b: Float64Array, scale: number): Float64Array {
  return a.map((v, i) => v + scale * b[i]!);
}
