/** What dropout is checked and timed with. `note` says what the case is for. */
export const dropoutCases: readonly { shape: readonly number[]; p: number; note: string }[] = [
  { shape: [16, 64, 32], p: 0.1, note: "hidden states, DistilBERT's rate" },
  { shape: [5, 7], p: 0.5, note: "35 elements: the last group of four is not full" },
  { shape: [1], p: 0.9, note: "one element" },
  { shape: [64], p: 1, note: "nothing is kept" },
];
