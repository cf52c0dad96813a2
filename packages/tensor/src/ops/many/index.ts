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

/**
 * The functions of all tensors from that of tensor 0, whose names end in 0: text of tensors 1 … width - 1, the first being in
 * `source` itself.
 * @param name such as `update0`: its text goes up to the first line that is a closing brace
 * @param names of what else is numbered in it
 */
export function forEachTensor(source: string, name: string, names: readonly string[], width: number): string {
  const begin = source.indexOf(`fn ${name}(`);
  const text = source.slice(begin, source.indexOf("\n}", begin) + 2);
  const numbered = new RegExp(`\\b(${[name, ...names].map((n) => n.slice(0, -1)).join("|")})0\\b`, "g");
  return Array.from({ length: width - 1 }, (_, t) => text.replace(numbered, `$1${t + 1}`)).join("\n");
}
