/** Values by row, wherever they come from. */
export interface Column {
  readonly length: number;
  get(row: number): unknown;
}

/** A column whose values are in memory. */
export function memoryColumn(values: ArrayLike<unknown>): Column {
  return { length: values.length, get: (row) => values[row] ?? null };
}

/** A column seen through a list of rows (a selection, a shuffle); without one, row by row as it is. */
export interface View {
  readonly column: Column;
  readonly rows?: Uint32Array;
}
