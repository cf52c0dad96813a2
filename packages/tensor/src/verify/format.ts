import { DtypeError, ValueError } from "../errors.js";
import { toFloat32, toInt32 } from "../io/index.js";
import type { TensorView } from "../io/safetensors.js";
import type { Shape } from "../shape.js";

/** One reference case of an operation, as it stands in `index.json`. */
export interface OpCase {
  readonly name: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  /** By argument name, in argument order. */
  readonly inputs: Readonly<Record<string, { readonly shape: Shape; readonly dtype: string }>>;
  /** Names of the stored results: `out`, or `out.0`, `out.1`, …, or `out` and `out_indices`. */
  readonly outputs: readonly string[];
  /** Arguments whose gradients are stored; none for a case that is forward only. */
  readonly grads?: readonly string[];
  readonly tol: Readonly<Record<string, { readonly rtol: number; readonly atol: number }>>;
  readonly note?: string;
}

/** `index.json`: for each operation its file and its cases. */
export interface OpIndex {
  readonly ops: Readonly<Record<string, { readonly file: string; readonly cases: readonly OpCase[] }>>;
}

/** The attributes of a case, read with the type that an operation needs. Python's names; null and a missing entry are the same. */
export class Attributes {
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return (this.#values[name] ?? null) !== null;
  }

  /** A number; infinities are the texts `inf` and `-inf`. */
  number(name: string): number {
    const value = this.#values[name];
    if (value === "inf") return Number.POSITIVE_INFINITY;
    if (value === "-inf") return Number.NEGATIVE_INFINITY;
    if (typeof value !== "number") throw this.#wrong(name, "a number");
    return value;
  }

  /** A number, or null. */
  numberOrNull(name: string): number | null {
    return this.has(name) ? this.number(name) : null;
  }

  flag(name: string): boolean {
    return this.#values[name] === true;
  }

  text(name: string): string {
    const value = this.#values[name];
    if (typeof value !== "string") throw this.#wrong(name, "a text");
    return value;
  }

  numbers(name: string): number[] {
    const value = this.#values[name];
    if (!Array.isArray(value) || value.some((item) => typeof item !== "number"))
      throw this.#wrong(name, "a list of numbers");
    return value as number[];
  }

  /** A number or a list of them. */
  numberOrList(name: string): number | number[] {
    return Array.isArray(this.#values[name]) ? this.numbers(name) : this.number(name);
  }

  /** A number or a pair: the settings of a window. */
  pair(name: string): [number, number] {
    const value = this.numberOrList(name);
    return typeof value === "number" ? [value, value] : [value[0]!, value[1]!];
  }

  /** One dimension, several, or null for all. */
  dims(name: string): number | number[] | null {
    return this.has(name) ? this.numberOrList(name) : null;
  }

  /** A list of `[start, stop, step]`. */
  ranges(name: string): [number | null, number | null, number][] {
    const value = this.#values[name];
    if (!Array.isArray(value)) throw this.#wrong(name, "a list of slices");
    return value as [number | null, number | null, number][];
  }

  #wrong(name: string, expected: string): ValueError {
    return new ValueError(
      `attribute ${name} is ${JSON.stringify(this.#values[name])}, expected ${expected}.`,
    );
  }
}

/** Stored numbers: `Float32Array` for floats, `Int32Array` for integers, `Uint8Array` for bool. */
export function storedValues(view: TensorView): Float32Array | Int32Array | Uint8Array {
  if (view.dtype === "BOOL") return Uint8Array.from(view.bytes);
  if (view.dtype.startsWith("F") || view.dtype === "BF16") return toFloat32(view);
  if (view.dtype.startsWith("I") || view.dtype.startsWith("U")) return toInt32(view);
  throw new DtypeError(`a reference tensor is ${view.dtype}, expected a float, an integer or bool.`);
}
