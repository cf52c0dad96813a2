import { UsageError } from "../errors.js";

/** `op=value` of a flag `--kernel` or `--variant`. */
export interface Assignment {
  readonly op: string;
  readonly value: string;
}

/** @throws UsageError if it is not of the form `op=value` */
export function parseAssignment(flag: string, text: string): Assignment {
  const at = text.indexOf("=");
  if (at <= 0 || at === text.length - 1) {
    const [what, value] = flag === "--kernel" ? ["a file", "./mine.wgsl"] : ["one of its steps", "2-tile"];
    throw new UsageError(`${flag} ${text}: expected an op and ${what}, such as ${flag} matmul=${value}.`);
  }
  return { op: text.slice(0, at), value: text.slice(at + 1) };
}

/** The texts of a flag that a recipe's mapping stands for. */
export function assignmentsOf(map: Readonly<Record<string, string>> | null): string[] {
  return Object.entries(map ?? {}).map(([op, value]) => `${op}=${value}`);
}
