/** Reductions other than sum and mean, and running sums. */
export { cumsum } from "./cumsum.js";
export { argmax, argmin, max, min, type ValuesAndIndices } from "./extreme.js";
export { type NormalizeOptions, type NormOptions, norm, normalize } from "./norm.js";
export { prod } from "./prod.js";
export { std, type VarianceOptions, variance } from "./variance.js";
