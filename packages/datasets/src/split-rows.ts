import { badArgument } from "./errors.js";
import { Generator, permutation, range, shuffleInPlace } from "./random.js";

/** Row numbers of two splits. */
export interface SplitRows {
  train: Uint32Array;
  test: Uint32Array;
}

/** The first rows of a permutation for the test split; without a seed, the last rows as they are. */
export function splitRows(numRows: number, numTest: number, seed: number | undefined): SplitRows {
  if (seed === undefined) {
    return { train: range(0, numRows - numTest), test: range(numRows - numTest, numRows) };
  }
  const order = permutation(numRows, seed);
  return { test: order.slice(0, numTest), train: order.slice(numTest) };
}

/**
 * Both splits with each value of a column in the proportion that the whole has it in.
 * @throws DatasetError E_ARGUMENT if a split has fewer rows than the column has values
 */
export function stratifiedSplitRows(
  values: ArrayLike<unknown>,
  column: string,
  numTest: number,
  seed: number,
): SplitRows {
  const classes = new Map<unknown, number[]>();
  for (let i = 0; i < values.length; i++) {
    const members = classes.get(values[i]);
    if (members === undefined) classes.set(values[i], [i]);
    else members.push(i);
  }
  const numTrain = values.length - numTest;
  if (numTest < classes.size || numTrain < classes.size) {
    throw badArgument(
      "trainTestSplit",
      "testSize",
      numTest,
      `rows enough for each of the ${classes.size} values of "${column}" in both splits (train ${numTrain}, test ${numTest})`,
    );
  }
  const groups = [...classes.values()];
  const quotas = largestRemainder(
    groups.map((members) => members.length),
    numTest,
  );
  const generator = new Generator(seed);
  const test: number[] = [];
  const train: number[] = [];
  for (const [k, members] of groups.entries()) {
    const mixed = shuffleInPlace(Uint32Array.from(members), generator);
    for (const [i, row] of mixed.entries()) (i < quotas[k]! ? test : train).push(row);
  }
  return {
    test: shuffleInPlace(Uint32Array.from(test), generator),
    train: shuffleInPlace(Uint32Array.from(train), generator),
  };
}

/** Whole numbers in proportion to `sizes` that add up to `total`: floors, then one more where the rest is largest. */
function largestRemainder(sizes: readonly number[], total: number): number[] {
  const all = sizes.reduce((sum, size) => sum + size, 0);
  const exact = sizes.map((size) => (size * total) / all);
  const quotas = exact.map(Math.floor);
  const missing = total - quotas.reduce((sum, quota) => sum + quota, 0);
  const byRest = exact
    .map((x, k) => ({ k, rest: x - Math.floor(x) }))
    .sort((a, b) => b.rest - a.rest || a.k - b.k);
  for (const { k } of byRest.slice(0, missing)) quotas[k]!++;
  return quotas;
}
