/** How far the worst element of a result is from its reference. */
export interface Difference {
  /** Largest |got - want|; infinite where one of them is not finite and they differ. */
  readonly error: number;
  /** Element (row-major) that is farthest outside its tolerance, or null if all are within. */
  readonly element: number | null;
  readonly got: number;
  readonly want: number;
}

/**
 * Compares element by element: within if `|got - want| <= atol + rtol * |want|`, or if both are the same infinity or both NaN.
 * Pass 0 for both tolerances to ask for equality.
 */
export function compare(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { rtol, atol }: { readonly rtol: number; readonly atol: number },
): Difference {
  let error = 0;
  let worst = 0;
  let element: number | null = null;
  for (let i = 0; i < want.length; i++) {
    const [g, w] = [got[i]!, want[i]!];
    if (g === w || (Number.isNaN(g) && Number.isNaN(w))) continue;
    const difference = Math.abs(g - w);
    const distance = Number.isFinite(difference) ? difference : Number.POSITIVE_INFINITY;
    error = Math.max(error, distance);
    const limit = atol + rtol * Math.abs(w);
    const excess = Number.isFinite(limit) ? distance - limit : distance;
    if (excess > 0 && (element === null || excess > worst)) {
      worst = excess;
      element = i;
    }
  }
  return { error, element, got: got[element ?? 0] ?? Number.NaN, want: want[element ?? 0] ?? Number.NaN };
}

/** `[1, 4]` for element 9 of a tensor of shape `[2, 5]`. */
export function coordinates(element: number, shape: readonly number[]): number[] {
  const out: number[] = [];
  let rest = element;
  for (let d = shape.length - 1; d >= 0; d--) {
    out.unshift(rest % shape[d]!);
    rest = Math.floor(rest / shape[d]!);
  }
  return out;
}
