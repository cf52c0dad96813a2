import { ValueError } from "../../errors.js";

/** What a shape text of many tensors says. */
export interface ManyShape {
  /** Elements of each tensor. */
  readonly sizes: readonly number[];
  readonly elements: number;
  readonly flags: ReadonlySet<string>;
}

/** How the sizes of many tensors are written. */
export const manyFormat = "SIZE+SIZE+… | COUNTxSIZE+… | distilbertWIDTH";

/** Elements of each parameter of a DistilBERT classifier with 6 layers, in the order of its checkpoint. */
function distilbert(width: number): number[] {
  const square = [width * width, width];
  const norm = [width, width];
  const wide = [4 * width * width, 4 * width, 4 * width * width, width];
  const layer = [...square, ...square, ...square, ...square, ...norm, ...wide, ...norm];
  const layers = Array.from({ length: 6 }, () => layer).flat();
  return [30522 * width, 512 * width, ...norm, ...layers, ...square, 2 * width, 2];
}

/**
 * Reads the sizes of many tensors.
 * @throws ValueError for a text that is not of the form
 */
export function parseManyShape(op: string, text: string, known: readonly string[] = []): ManyShape {
  const [head = "", ...flags] = text.split(",");
  const model = /^distilbert(\d+)$/.exec(head);
  const sizes = model
    ? distilbert(Number(model[1]))
    : head.split("+").flatMap((term) => {
        const [count, size] = term.includes("x") ? term.split("x").map(Number) : [1, Number(term)];
        return Number.isInteger(count) && count! > 0 ? new Array<number>(count!).fill(size!) : [Number.NaN];
      });
  if (!flags.every((flag) => known.includes(flag)) || !sizes.every((n) => Number.isInteger(n) && n > 0)) {
    const rest = known.map((flag) => `[,${flag}]`).join("");
    throw new ValueError(
      `${op}: the shape "${text}" is not of the form ${manyFormat}${rest}, such as 384+24x6144 or distilbert384.`,
    );
  }
  return { sizes, elements: sizes.reduce((sum, n) => sum + n, 0), flags: new Set(flags) };
}
