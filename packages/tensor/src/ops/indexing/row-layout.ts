import type { Specialisation } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";

/** How kernels that move whole rows share them out. */
export interface RowLayout {
  /** Elements that an invocation moves at once: 4 where rows and offsets allow it. */
  readonly wide: 1 | 4;
  /** Invocations that work on one row: a power of two, at most a workgroup. */
  readonly lanes: number;
}

/** The layout for rows of `inner` elements in a tensor that begins at `offset`. */
export function rowLayout(inner: number, offset: number): RowLayout {
  const wide = inner % 4 === 0 && offset % 4 === 0 ? 4 : 1;
  let lanes = 1;
  while (lanes < 64 && lanes < inner / wide) lanes *= 2;
  return { wide, lanes };
}

/**
 * The head of such a kernel: element type `T`, what is moved at once `Wide`, its sum `Sum`, what is written `Out`, index type `I`, and
 * `LANES`.
 * @param result element type of what is written; default that of what is read
 */
export function specialise(
  { wide, lanes }: RowLayout,
  dtype: Dtype,
  indexDtype: Dtype,
  result: Dtype = dtype,
): Specialisation {
  const text =
    wide === 4
      ? "alias Wide = vec4<T>;\nalias Sum = vec4<f32>;\nalias Out = vec4<O>;"
      : "alias Wide = T;\nalias Sum = f32;\nalias Out = O;";
  return { types: { T: dtype, O: result, I: indexDtype }, constants: { LANES: lanes }, text };
}
