import { ShapeError, ValueError } from "../../errors.js";
import { formatShape, type Shape } from "../../shape.js";

/**
 * An equation read against the shapes of its operands. A label is one letter, or `…0`, `…1` for the dimensions that an
 * ellipsis stands for, counted from the last one so that they line up between operands as in broadcasting.
 */
export interface Equation {
  /** The text, for errors. */
  readonly text: string;
  /** One list of labels an operand, one label a dimension. */
  readonly inputs: readonly (readonly string[])[];
  readonly output: readonly string[];
  /** Size of each label. */
  readonly sizes: ReadonlyMap<string, number>;
}

/**
 * Reads `"bij,bjk->bik"`. Without `->` the output is the ellipsis, if any, then every letter that occurs once, in
 * alphabetical order. Spaces do not count.
 * @throws ValueError if the text is no equation or does not fit the number of operands
 * @throws ShapeError if it does not fit their shapes
 */
export function parseEquation(text: string, shapes: readonly Shape[]): Equation {
  const bad = (reason: string) => new ValueError(`einsum "${text}": ${reason}`);
  const [left, right, more] = text.replace(/\s/g, "").split("->");
  if (more !== undefined) throw bad("there is more than one arrow.");
  const terms = left!.split(",");
  if (terms.length !== shapes.length) {
    throw bad(
      `it names ${terms.length} operand(s), ${shapes.length} were given: ${shapes.map(formatShape).join(", ")}.`,
    );
  }
  const sizes = new Map<string, number>();
  const inputs = terms.map((term, index) => {
    const labels = expandTerm(term, shapes[index]!.length, bad, () => {
      const message = `operand ${index} is ${formatShape(shapes[index]!)} but "${term}" names ${term.replace("...", "").length} dimension(s)`;
      return new ShapeError(`einsum "${text}": ${message}.`);
    });
    labels.forEach((label, d) => {
      const size = shapes[index]![d]!;
      const known = sizes.get(label) ?? 1;
      if (known !== 1 && size !== 1 && known !== size) {
        const what = label.startsWith("…") ? "a dimension of the ellipsis" : label;
        throw new ShapeError(
          `einsum "${text}": ${what} is ${size} in operand ${index}, ${formatShape(shapes[index]!)}, and ${known} before it.`,
        );
      }
      if (known === 1) sizes.set(label, size);
    });
    return labels;
  });
  const ellipsis = [...sizes.keys()]
    .filter((label) => label.startsWith("…"))
    .sort()
    .reverse();
  const output = right === undefined ? implicitOutput(inputs, ellipsis) : outputLabels(right, ellipsis, bad);
  for (const label of output) {
    if (!sizes.has(label)) throw bad(`the output has ${label}, which no operand has.`);
  }
  if (new Set(output).size !== output.length) throw bad("a letter appears twice in the output.");
  return { text, inputs, output, sizes };
}

/** Labels of one operand of `rank` dimensions. */
function expandTerm(
  term: string,
  rank: number,
  bad: (reason: string) => Error,
  mismatch: () => Error,
): string[] {
  const [before, after, more] = checkedParts(term, bad);
  if (more !== undefined) throw bad(`"${term}" has more than one ellipsis.`);
  if (after === undefined) {
    if (before!.length !== rank) throw mismatch();
    return [...before!];
  }
  const hidden = rank - before!.length - after.length;
  if (hidden < 0) throw mismatch();
  return [...before!, ...Array.from({ length: hidden }, (_, i) => `…${hidden - 1 - i}`), ...after];
}

function checkedParts(term: string, bad: (reason: string) => Error): string[] {
  const parts = term.split("...");
  const stray = parts.join("").match(/[^A-Za-z]/);
  if (stray) throw bad(`"${stray[0]}" is no label; dimensions are named by letters, others by "...".`);
  return parts;
}

function outputLabels(right: string, ellipsis: readonly string[], bad: (reason: string) => Error): string[] {
  const [before, after, more] = checkedParts(right, bad);
  if (more !== undefined) throw bad("the output has more than one ellipsis.");
  return after === undefined ? [...before!] : [...before!, ...ellipsis, ...after];
}

function implicitOutput(inputs: readonly (readonly string[])[], ellipsis: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const label of inputs.flat()) counts.set(label, (counts.get(label) ?? 0) + 1);
  const once = [...counts]
    .filter(([label, count]) => count === 1 && !label.startsWith("…"))
    .map(([label]) => label);
  return [...ellipsis, ...once.sort()];
}
