/**
 * What kernels over many tensors share. A dispatch binds a fixed number of buffers and chooses among them by a tensor's number;
 * workgroups are handed out to the tensors in order.
 */

/** A WGSL `switch` over `width` tensors. @param line statement for tensor number t */
export function switchOver(width: number, line: (t: number) => string): string {
  const cases = Array.from({ length: width }, (_, t) => {
    const label = t === width - 1 ? "default" : `case ${t}u`;
    return `    ${label}: { ${line(t)} }`;
  });
  return `switch (t) {\n${cases.join("\n")}\n  }`;
}

/** Running totals: the first workgroup after those of each tensor. */
export function ends(groups: readonly number[]): number[] {
  let total = 0;
  return groups.map((count) => {
    total += count;
    return total;
  });
}

/** Fills a list up to `length`: a `Params` struct has a fixed size, and the last tensors may be fewer. */
export function padded<T, F>(values: readonly T[], length: number, fill: F): (T | F)[] {
  return [...values, ...new Array<F>(length - values.length).fill(fill)];
}
