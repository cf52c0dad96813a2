/** Rows of `weight` `[rows, width]` by number; the plain counterpart of `embedding` for tests and readers. */
export function embeddingReference(
  weight: Float32Array,
  ids: ArrayLike<number>,
  width: number,
): Float32Array {
  const y = new Float32Array(ids.length * width);
  for (let i = 0; i < ids.length; i++) {
    for (let c = 0; c < width; c++) y[i * width + c] = weight[ids[i]! * width + c]!;
  }
  return y;
}

/** Gradient of `weight` `[rows, width]`: the rows of `dy` added up by number, except for `paddingIdx`. */
export function embeddingBackwardReference(
  dy: Float32Array,
  ids: ArrayLike<number>,
  rows: number,
  width: number,
  paddingIdx: number | null = null,
): Float32Array {
  const sums = new Float64Array(rows * width);
  for (let i = 0; i < ids.length; i++) {
    if (ids[i] === paddingIdx) continue;
    for (let c = 0; c < width; c++) sums[ids[i]! * width + c]! += dy[i * width + c]!;
  }
  return Float32Array.from(sums);
}
