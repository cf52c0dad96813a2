import type { Device } from "../../device/device.js";
import type { Dtype } from "../../dtype.js";
import { ValueError } from "../../errors.js";
import type { Prepared } from "../../lab/entry.js";
import type { Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import lanes4 from "./lanes-4.wgsl";

/** What a shape text says. */
export interface ShapeText {
  readonly sizes: readonly number[];
  readonly flags: ReadonlySet<string>;
  /** f16 if the flag `f16` is there. */
  readonly dtype: "f32" | "f16";
  readonly bytesPerElement: 2 | 4;
}

/**
 * Reads a shape text: sizes with `x` between them, then flags after commas.
 * @param format what it should look like, for the error
 * @throws ValueError for a text that is not of the form
 */
export function parseShapeText(
  op: string,
  text: string,
  form: { readonly format: string; readonly sizes: readonly number[]; readonly flags: readonly string[] },
): ShapeText {
  const [head = "", ...flags] = text.split(",");
  const sizes = head.split("x").map(Number);
  const known = flags.every((flag) => form.flags.includes(flag));
  if (
    !known ||
    !form.sizes.includes(sizes.length) ||
    !sizes.every((size) => Number.isInteger(size) && size > 0)
  ) {
    throw new ValueError(
      `${op}: the shape "${text}" is not of the form ${form.format}, such as ${sizes.length > 0 ? "1024x384" : ""}.`,
    );
  }
  const half = flags.includes("f16");
  return { sizes, flags: new Set(flags), dtype: half ? "f16" : "f32", bytesPerElement: half ? 2 : 4 };
}

/** Inputs on a device; `tensor` makes one that `dispose` frees. */
export class Inputs {
  readonly #made: Tensor[] = [];

  constructor(readonly device: Device) {}

  tensor(data: Float32Array | Int32Array, shape: Shape, dtype: Dtype = "f32"): Tensor {
    return this.own(Tensor.from(this.device, data, shape, { dtype }));
  }

  /** Has `dispose` free a tensor that was made elsewhere. */
  own(tensor: Tensor): Tensor {
    this.#made.push(tensor.keep());
    return tensor;
  }

  /** The problem, made ready. The reference is computed once. */
  prepared(
    run: Prepared["run"],
    reference: Prepared["expected"],
    tolerance: Prepared["tolerance"],
  ): Prepared {
    let known: ReturnType<Prepared["expected"]> | undefined;
    return {
      run,
      expected: () => {
        known ??= reference();
        return known;
      },
      tolerance,
      dispose: () => {
        for (const tensor of this.#made) tensor.dispose();
      },
    };
  }
}

/** What stands before a user's kernel over rows, in the form that `kernels show` prints: four elements at a time. */
export const providedForRows: readonly string[] = [lanes4];

/** Lines of the contract that kernels over rows share. */
export const rowContract: readonly string[] = [
  "Elements is what one index of an array holds: f32 or f16, or vec4 of it where rows are a multiple of four long; the file is",
  "compiled for both. V is the same in f32: V(x[i]) reads, Elements(v) writes; total(v) adds the parts of a V up, highest(v) is",
  "their maximum. Lengths and offsets count Elements.",
  "Grid: ceil(rows / GROUP_ROWS) workgroups, spread over x and y; declare const GROUP_ROWS: u32, the rows a workgroup works on.",
];
