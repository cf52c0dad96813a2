import type { Tensor } from "../../tensor.js";

/** 4 if rows of `length` elements of all these tensors can be read in groups of four, else 1. */
export function lanesFor(length: number, tensors: readonly Tensor[]): 1 | 4 {
  return length % 4 === 0 && tensors.every((tensor) => tensor.offset % 4 === 0) ? 4 : 1;
}
