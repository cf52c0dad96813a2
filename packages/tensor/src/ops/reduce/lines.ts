import { numel, type Shape } from "../../shape.js";

/** A contiguous tensor seen as lines along one dimension: element k of line (o, i) lies at `(o * length + k) * inner + i`. */
export interface Lines {
  readonly outer: number;
  readonly length: number;
  readonly inner: number;
  /** outer · inner */
  readonly count: number;
}

/** The lines along `dim` (counted from the front). A 0-d tensor is one line of one element. */
export function linesAlong(shape: Shape, dim: number): Lines {
  const outer = numel(shape.slice(0, dim));
  const inner = numel(shape.slice(dim + 1));
  return { outer, length: shape[dim] ?? 1, inner, count: outer * inner };
}

/** Parts into which each line is cut so that some 4,096 invocations work, each on 64 elements or more. */
export function partsFor({ count, length }: Lines): number {
  return Math.max(1, Math.min(Math.ceil(4096 / Math.max(count, 1)), Math.floor(length / 64)));
}
