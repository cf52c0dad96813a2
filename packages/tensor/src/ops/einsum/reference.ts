import { parseEquation } from "./equation.js";

/** One operand on the host, row-major. */
export interface HostOperand {
  readonly shape: readonly number[];
  readonly data: ArrayLike<number>;
}

/** Calls `visit` for every value of all labels, with the place in each operand and in the output. */
function forEachTerm(
  equation: string,
  shapes: readonly (readonly number[])[],
  visit: (places: number[], out: number) => void,
): number[] {
  const { inputs, output, sizes } = parseEquation(equation, shapes);
  const labels = [...sizes.keys()];
  const outShape = output.map((label) => sizes.get(label)!);
  const values = new Map<string, number>();
  const place = (names: readonly string[], shape: readonly number[]) =>
    names.reduce((at, label, d) => at * shape[d]! + (shape[d] === 1 ? 0 : values.get(label)!), 0);
  const walk = (depth: number) => {
    if (depth === labels.length) {
      visit(
        inputs.map((names, i) => place(names, shapes[i]!)),
        place(output, outShape),
      );
      return;
    }
    for (let v = 0; v < sizes.get(labels[depth]!)!; v++) {
      values.set(labels[depth]!, v);
      walk(depth + 1);
    }
  };
  walk(0);
  return outShape;
}

/** The definition: a loop over every label, one product a term, summed in float64. */
export function einsumReference(
  equation: string,
  operands: readonly HostOperand[],
): { shape: number[]; data: Float64Array } {
  const sums = new Map<number, number>();
  const shape = forEachTerm(
    equation,
    operands.map((o) => o.shape),
    (places, out) => {
      const term = places.reduce((product, at, i) => product * operands[i]!.data[at]!, 1);
      sums.set(out, (sums.get(out) ?? 0) + term);
    },
  );
  const count = shape.reduce((product, size) => product * size, 1);
  return { shape, data: Float64Array.from({ length: count }, (_, i) => sums.get(i) ?? 0) };
}

/** Gradients of the operands where the output has the gradient `dy`. */
export function einsumBackwardReference(
  equation: string,
  operands: readonly HostOperand[],
  dy: ArrayLike<number>,
): Float64Array[] {
  const gradients = operands.map((o) => new Float64Array(o.data.length));
  forEachTerm(
    equation,
    operands.map((o) => o.shape),
    (places, out) => {
      operands.forEach((_, i) => {
        const others = places.reduce(
          (product, at, j) => (j === i ? product : product * operands[j]!.data[at]!),
          1,
        );
        gradients[i]![places[i]!]! += others * dy[out]!;
      });
    },
  );
  return gradients;
}
