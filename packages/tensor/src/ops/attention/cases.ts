/** What kind of mask a case has; `true` or 0 lets the query attend. */
export type MaskKind =
  | "none"
  /** bool [B, 1, 1, S]: every batch entry has its own length. */
  | "padding"
  /** bool [B, H, L, S] at random, one row in five without any key. */
  | "full"
  /** bool [L, S], rank 2. */
  | "rank2"
  /** bool [B, 1, L, 1]: some queries attend to nothing, the others to all. */
  | "queries"
  /** bool, all false. */
  | "nothing"
  /** f32 [1, H, L, S] around 0, with some -Infinity. */
  | "added"
  /** f32 [B, 1, 1, S], 0 or the most negative number, as Hugging Face makes it. */
  | "lowest";

/** How the operands lie in memory. */
export type Layout =
  /** row-major [B, H, L, D] */
  | "plain"
  /** views of one projection [B, L, 3 H D], as a fused query-key-value layer gives them */
  | "projections"
  /** width not the innermost dimension: every variant needs a copy */
  | "turned"
  /** rows that begin at odd places: no vec4 loads without a copy */
  | "odd";

/** One row of the table of cases. Letters as in `scaledDotProductAttention`. */
export interface AttentionCase {
  readonly name: string;
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
  readonly mask?: MaskKind;
  readonly isCausal?: boolean;
  readonly scale?: number;
  readonly layout?: Layout;
  readonly dropoutP?: number;
  /** Lengths of packed sequences; B is 1, L = S at least their sum. */
  readonly packed?: readonly number[];
  /** f16 q, k and v (and mask, if it is added). */
  readonly f16?: boolean;
  /** Factor of q, to reach large scores. */
  readonly gain?: number;
}

/** Checked forward and backward, by the steps that the rule chooses. */
export const cases: readonly AttentionCase[] = [
  { name: "one token", B: 2, H: 3, L: 1, S: 1, D: 32 },
  { name: "fewer tokens than lanes", B: 1, H: 2, L: 7, S: 7, D: 64 },
  { name: "a tile less one", B: 1, H: 2, L: 63, S: 63, D: 16 },
  { name: "a tile", B: 2, H: 2, L: 64, S: 64, D: 64 },
  { name: "a tile and one", B: 1, H: 2, L: 65, S: 65, D: 32 },
  { name: "several tiles", B: 1, H: 1, L: 130, S: 130, D: 32 },
  { name: "fewer queries than keys", B: 1, H: 2, L: 3, S: 70, D: 16 },
  { name: "more queries than keys", B: 1, H: 2, L: 70, S: 5, D: 8 },
  { name: "narrow heads", B: 2, H: 1, L: 33, S: 17, D: 8 },
  { name: "wide heads", B: 1, H: 2, L: 20, S: 40, D: 80 },
  { name: "width no multiple of 4", B: 1, H: 2, L: 9, S: 18, D: 6 },
  { name: "own scale", B: 1, H: 2, L: 16, S: 16, D: 16, scale: 0.3 },
  { name: "large scores", B: 1, H: 1, L: 20, S: 40, D: 64, gain: 40 },
  { name: "padding mask", B: 3, H: 2, L: 40, S: 40, D: 32, mask: "padding" },
  { name: "full mask with empty rows", B: 2, H: 2, L: 35, S: 50, D: 16, mask: "full" },
  { name: "mask of rank 2", B: 2, H: 2, L: 12, S: 20, D: 16, mask: "rank2" },
  { name: "queries that attend to nothing", B: 2, H: 2, L: 12, S: 20, D: 16, mask: "queries" },
  { name: "nothing to attend to", B: 1, H: 2, L: 5, S: 19, D: 16, mask: "nothing" },
  { name: "added mask", B: 2, H: 2, L: 34, S: 20, D: 16, mask: "added" },
  { name: "added mask of the lowest number", B: 3, H: 2, L: 18, S: 18, D: 16, mask: "lowest" },
  { name: "causal", B: 1, H: 2, L: 70, S: 70, D: 16, isCausal: true },
  { name: "causal, fewer queries", B: 1, H: 2, L: 5, S: 40, D: 16, isCausal: true },
  { name: "causal, fewer keys", B: 1, H: 2, L: 40, S: 5, D: 16, isCausal: true },
  { name: "causal with padding", B: 3, H: 2, L: 20, S: 20, D: 16, isCausal: true, mask: "padding" },
  { name: "views of projections", B: 2, H: 3, L: 19, S: 19, D: 16, layout: "projections", mask: "padding" },
  { name: "width outside", B: 2, H: 2, L: 19, S: 19, D: 16, layout: "turned" },
  { name: "odd places", B: 2, H: 2, L: 19, S: 19, D: 16, layout: "odd" },
  { name: "dropout", B: 2, H: 2, L: 20, S: 27, D: 16, dropoutP: 0.3 },
  { name: "dropout with padding", B: 2, H: 2, L: 70, S: 70, D: 16, dropoutP: 0.1, mask: "padding" },
  { name: "packed", B: 1, H: 2, L: 70, S: 70, D: 16, packed: [5, 1, 40, 17], layout: "projections" },
  { name: "packed without padding", B: 1, H: 2, L: 33, S: 33, D: 16, packed: [33] },
  { name: "packed, empty sequences", B: 1, H: 1, L: 64, S: 64, D: 8, packed: [0, 3, 0, 0, 20, 0] },
  { name: "packed, much padding", B: 1, H: 1, L: 150, S: 150, D: 16, packed: [9, 2] },
  { name: "packed, causal", B: 1, H: 2, L: 90, S: 90, D: 16, packed: [41, 3, 30], isCausal: true },
  { name: "packed, dropout", B: 1, H: 2, L: 80, S: 80, D: 16, packed: [7, 30, 33], dropoutP: 0.2 },
  { name: "packed, width no multiple of 4", B: 1, H: 1, L: 20, S: 20, D: 6, packed: [7, 12] },
  {
    name: "f16",
    B: 2,
    H: 2,
    L: 40,
    S: 40,
    D: 32,
    f16: true,
    mask: "padding",
    dropoutP: 0.1,
    layout: "projections",
  },
  { name: "f16 with an added mask", B: 1, H: 2, L: 18, S: 20, D: 16, f16: true, mask: "added" },
  { name: "f16 packed", B: 1, H: 2, L: 50, S: 50, D: 64, f16: true, packed: [20, 25] },
];
