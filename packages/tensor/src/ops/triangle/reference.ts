/** The plain counterpart of `tril` (`lower`) and `triu` for matrices `[..., rows, columns]`. */
export function triangleReference(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
  diagonal: number,
  lower: boolean,
): number[] {
  return Array.from(x, (value, i) => {
    const side = (i % columns) - (Math.floor(i / columns) % rows) - diagonal;
    return (lower ? side <= 0 : side >= 0) ? value : 0;
  });
}
