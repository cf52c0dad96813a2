import { expect } from "vitest";

/**
 * Expects |got - want| ≤ atol + rtol |want| for every element, and names the worst one. One assertion, not one an element,
 * which would take longer than the kernels.
 */
export function expectClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { rtol, atol }: { readonly rtol: number; readonly atol: number },
  what: string,
): void {
  expect(got.length, `${what}: number of elements`).toBe(want.length);
  let worst = -1;
  let excess = 0;
  for (let i = 0; i < want.length; i++) {
    if (Object.is(got[i], want[i])) continue;
    const over = Math.abs(got[i]! - want[i]!) - (atol + rtol * Math.abs(want[i]!));
    if (!(over <= excess)) [worst, excess] = [i, over];
  }
  if (worst >= 0) {
    expect.fail(
      `${what}[${worst}] is ${got[worst]}, expected ${want[worst]} within ${atol} + ${rtol} |value|`,
    );
  }
}
