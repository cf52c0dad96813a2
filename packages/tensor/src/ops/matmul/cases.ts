import type { Shape } from "../../shape.js";

/** One product to check or to measure. */
export interface MatmulCase {
  readonly name: string;
  /** Logical shapes, after the transpositions below. */
  readonly a: Shape;
  readonly b: Shape;
  /** The last two dimensions are stored the other way round and the operand is a view of that. */
  readonly aTransposed?: boolean;
  readonly bTransposed?: boolean;
  /** True: for the benchmark, too large to check against plain loops in a test. */
  readonly bench?: boolean;
  /** What the case is there for. */
  readonly note?: string;
}

/**
 * |got - want| ≤ rel · (Σ |a||b| of that element) : the error of a sum of K products in f32 grows with the size of its terms,
 * not of its result. 2^-24 a rounding, K ≤ 200 roundings at worst, in practice their square root.
 */
export const tolerance = { f32: 2 ** -20, f16: 2 ** -10 } as const;

const edges = [1, 3, 4, 31, 32, 33];

/** Shapes for test and benchmark. Sizes 31 to 33 and 63 to 65 lie around the tiles of steps 4 and 3, 15 to 17 around step 2's. */
export const cases: readonly MatmulCase[] = [
  { name: "3 x 5 x 7", a: [3, 5], b: [5, 7] },
  ...edges.flatMap((m) => edges.map((n) => ({ name: `edge ${m} x 8 x ${n}`, a: [m, 8], b: [8, n] }))),
  ...[1, 2, 15, 16, 17, 36].map((k) => ({ name: `inner ${k}`, a: [20, k], b: [k, 24] })),
  { name: "tile + 1 each way", a: [65, 17], b: [17, 65] },
  { name: "a transposed, fours", a: [36, 12], b: [12, 40], aTransposed: true },
  { name: "b transposed, fours", a: [36, 12], b: [12, 40], bTransposed: true },
  { name: "both transposed, fours", a: [36, 12], b: [12, 40], aTransposed: true, bTransposed: true },
  { name: "a transposed, odd", a: [35, 13], b: [13, 7], aTransposed: true },
  { name: "b transposed, odd", a: [35, 13], b: [13, 7], bTransposed: true },
  { name: "both transposed, odd", a: [35, 13], b: [13, 7], aTransposed: true, bTransposed: true },
  { name: "batch", a: [5, 33, 12], b: [5, 12, 20] },
  { name: "heads, keys transposed", a: [2, 3, 9, 8], b: [2, 3, 8, 9], bTransposed: true },
  { name: "batch under one matrix", a: [3, 10, 8], b: [8, 12], note: "folds into one product" },
  { name: "one matrix under a batch", a: [10, 8], b: [3, 8, 12] },
  { name: "broadcast both ways", a: [2, 1, 3, 4], b: [5, 4, 6] },
  {
    name: "five batch dimensions",
    a: [2, 1, 2, 1, 2, 3, 4],
    b: [1, 2, 1, 2, 1, 4, 5],
    note: "more than the kernels take: copied",
  },
  { name: "two-label head", a: [16, 48], b: [48, 2], bTransposed: true },
  { name: "no rows", a: [0, 4], b: [4, 4] },
  { name: "no batch", a: [0, 2, 4], b: [4, 4] },
  { name: "nothing to sum", a: [4, 0], b: [0, 8], note: "zeros" },
  { name: "1024 x 768 x 768", a: [1024, 768], b: [768, 768], bench: true },
  { name: "1024 x 768 x 3072", a: [1024, 768], b: [768, 3072], bench: true },
  { name: "1024 x 384 x 384", a: [1024, 384], b: [384, 384], bench: true },
  { name: "1024 x 384 x 1536", a: [1024, 384], b: [384, 1536], bench: true },
  { name: "1024 x 1536 x 384", a: [1024, 1536], b: [1536, 384], bench: true },
  { name: "512 x 512 x 512", a: [512, 512], b: [512, 512], bench: true },
  { name: "96 of 64 x 64 x 64", a: [96, 64, 64], b: [96, 64, 64], bench: true },
];
