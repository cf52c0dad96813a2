import { expect } from "vitest";
import type { Device } from "../../device/device.js";
import { type Dtype, fromHalfBits, toHalfBits } from "../../dtype.js";
import { openDevice } from "../../node.js";

/** How far a result may be from its reference: |got - want| <= abs + rel |want|. */
export interface Tolerance {
  readonly rel: number;
  readonly abs: number;
}

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

/** Expects every element within the tolerance, NaN where NaN is wanted, and infinities to be equal. */
export function expectClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  tolerance: Tolerance,
  what: string,
) {
  expect(got.length, `${what}: elements`).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    const [a, b] = [got[i]!, want[i]!];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const limit = tolerance.abs + tolerance.rel * Math.abs(b);
    if (!(Math.abs(a - b) <= limit))
      expect.fail(`${what}: element ${i} is ${a}, the reference ${b} ± ${limit}`);
  }
}

/** The adapter as it is, and limited to what WebGPU guarantees: 256 invocations, no f16, no subgroups. */
export async function openBoth(): Promise<{ name: string; device: Device }[]> {
  return [
    { name: "all features", device: await openDevice() },
    { name: "guaranteed limits only", device: await openDevice({ limits: "default", features: [] }) },
  ];
}
