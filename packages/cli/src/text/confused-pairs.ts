/** Two classes of which one is taken for the other. */
export interface ConfusedPair {
  truth: number;
  predicted: number;
  /** Examples of `truth` that are taken for `predicted`. */
  count: number;
  /** Of all examples of `truth`. */
  share: number;
}

/** Every pair of classes of which one is taken for the other, the most frequent first. @param confusion counts[truth][predicted] */
export function confusedPairs(confusion: readonly (readonly number[])[]): ConfusedPair[] {
  return confusion
    .flatMap((row, truth) => {
      const total = row.reduce((a, b) => a + b, 0);
      return row.flatMap((count, predicted) =>
        truth !== predicted && count > 0 ? [{ truth, predicted, count, share: count / total }] : [],
      );
    })
    .sort((a, b) => b.count - a.count || b.share - a.share);
}
