/** What mean pooling is checked with: shape of x, and the number of kept tokens of each sentence (all before the others). */
export const meanPoolCases: readonly {
  shape: readonly [number, number, number];
  kept: readonly number[];
  note: string;
}[] = [
  { shape: [3, 7, 5], kept: [7, 3, 1], note: "padding of different lengths" },
  { shape: [2, 4, 3], kept: [0, 4], note: "a sentence of padding only" },
  { shape: [1, 1, 1], kept: [1], note: "one number" },
  { shape: [4, 64, 384], kept: [64, 10, 33, 1], note: "MiniLM's width" },
];
