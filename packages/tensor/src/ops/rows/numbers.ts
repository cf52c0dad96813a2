import { type Dtype, fromHalfBits, toHalfBits } from "../../dtype.js";

/** Numbers in [-scale, scale) around `mean`, rounded to the type they will be stored in; the same in every run. */
export function numbers(
  count: number,
  seed: number,
  dtype: Dtype = "f32",
  scale = 1,
  mean = 0,
): Float32Array {
  let state = (seed * 2654435761 + 12345) >>> 0;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = mean + scale * (((state >>> 8) - 2 ** 23) / 2 ** 23);
    return dtype === "f16" ? fromHalfBits(toHalfBits(value)) : value;
  });
}

/** The numbers as a tensor of the type holds them. */
export function rounded(values: ArrayLike<number>, dtype: Dtype): Float32Array {
  return Float32Array.from(values, (value) => (dtype === "f16" ? fromHalfBits(toHalfBits(value)) : value));
}
