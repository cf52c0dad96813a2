/** One call to check. */
export interface LowRankCase {
  readonly note: string;
  /** Shape of x without its last size. */
  readonly lead: readonly number[];
  readonly inner: number;
  readonly out: number;
  readonly rank: number;
  readonly scaling: number;
  readonly dropoutP: number;
  readonly bias: boolean;
}

/**
 * |got - want| ≤ tolerance · (1 + |want|). Rounding of sums of at most 132 products; with f16 that of the narrow product, which
 * is stored in between.
 */
export const tolerance = { f32: 2e-5, f16: 2e-2 } as const;

const plain = { scaling: 2, dropoutP: 0, bias: true };

/** Sizes in fours are one kernel with two pairs of operands, the others dispatches of their own. */
export const cases: readonly LowRankCase[] = [
  { ...plain, note: "rank 8", lead: [3, 12], inner: 36, out: 20, rank: 8 },
  { ...plain, note: "rank 16, dropout", lead: [40], inner: 36, out: 68, rank: 16, dropoutP: 0.25 },
  {
    ...plain,
    note: "rank 64, scaling 1, no bias",
    lead: [2, 5],
    inner: 68,
    out: 36,
    rank: 64,
    scaling: 1,
    bias: false,
  },
  { ...plain, note: "rank 1", lead: [2, 9], inner: 12, out: 8, rank: 1 },
  { ...plain, note: "rank 6, dropout", lead: [12], inner: 12, out: 8, rank: 6, dropoutP: 0.5 },
  { ...plain, note: "odd sizes, dropout", lead: [5], inner: 7, out: 9, rank: 3, dropoutP: 0.25, bias: false },
  { ...plain, note: "one row", lead: [1], inner: 8, out: 12, rank: 4 },
];
