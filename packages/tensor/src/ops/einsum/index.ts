import { ShapeError } from "../../errors.js";
import { formatShape } from "../../shape.js";
import type { Tensor } from "../../tensor.js";
import { matmul } from "../matmul/index.js";
import { type Equation, parseEquation } from "./equation.js";

/** A tensor whose dimensions have names. */
interface Named {
  readonly x: Tensor;
  readonly labels: readonly string[];
}

/** A label that an operand repeats (`ii`) becomes one dimension, the diagonal. */
function takeDiagonals({ x, labels }: Named, equation: Equation): Named {
  const twice = labels.find((label, i) => labels.indexOf(label) !== i);
  if (twice === undefined) return { x, labels };
  const [first, second] = labels.flatMap((label, d) => (label === twice ? [d] : [])) as [number, number];
  if (x.shape[first] !== x.shape[second]) {
    throw new ShapeError(
      `einsum "${equation.text}": ${twice} stands for ${x.shape[first]} and ${x.shape[second]} in ${formatShape(x.shape)}; a diagonal needs equal sizes.`,
    );
  }
  const rest = labels.map((_, d) => d).filter((d) => d !== first && d !== second);
  const diagonal = x.permute([...rest, first, second]).diagonal();
  return takeDiagonals({ x: diagonal, labels: [...rest.map((d) => labels[d]!), twice] }, equation);
}

/** Sums away the labels that nothing needs any more. */
function sumUnneeded({ x, labels }: Named, needed: ReadonlySet<string>): Named {
  const dims = labels.flatMap((label, d) => (needed.has(label) ? [] : [d]));
  if (dims.length === 0) return { x, labels };
  return { x: x.sum(dims), labels: labels.filter((label) => needed.has(label)) };
}

/** Repeats sizes of 1 up to the label's size, as a view, so that every operand agrees on it. */
function expandSizes({ x, labels }: Named, sizes: ReadonlyMap<string, number>): Named {
  const shape = labels.map((label) => sizes.get(label)!);
  return { x: shape.every((size, d) => size === x.shape[d]) ? x : x.expand(shape), labels };
}

/** Dimensions in the order of `order`; all of them must be there. */
function arrange({ x, labels }: Named, order: readonly string[]): Tensor {
  const dims = order.map((label) => labels.indexOf(label));
  return dims.every((d, i) => d === i) ? x : x.permute(dims);
}

/**
 * Joins two operands: labels of both that are not needed afterwards are summed in a batched matrix product; without any,
 * it is a broadcast multiplication.
 */
function contract(
  a: Named,
  b: Named,
  needed: ReadonlySet<string>,
  sizes: ReadonlyMap<string, number>,
): Named {
  const shared = a.labels.filter((label) => b.labels.includes(label));
  const batch = shared.filter((label) => needed.has(label));
  const summed = shared.filter((label) => !needed.has(label));
  const ofA = a.labels.filter((label) => !shared.includes(label));
  const ofB = b.labels.filter((label) => !shared.includes(label));
  const sizesOf = (labels: readonly string[]) => labels.map((label) => sizes.get(label)!);
  const count = (labels: readonly string[]) => sizesOf(labels).reduce((product, size) => product * size, 1);
  const labels = [...batch, ...ofA, ...ofB];
  if (summed.length === 0) {
    const left = arrange(a, [...batch, ...ofA]).reshape([
      ...sizesOf([...batch, ...ofA]),
      ...ofB.map(() => 1),
    ]);
    const right = arrange(b, [...batch, ...ofB]).reshape([
      ...sizesOf(batch),
      ...ofA.map(() => 1),
      ...sizesOf(ofB),
    ]);
    return { x: left.mul(right), labels };
  }
  const left = arrange(a, [...batch, ...ofA, ...summed]).reshape([count(batch), count(ofA), count(summed)]);
  const right = arrange(b, [...batch, ...summed, ...ofB]).reshape([count(batch), count(summed), count(ofB)]);
  return { x: matmul(left, right).reshape(sizesOf(labels)), labels };
}

/**
 * Sum of products named by Einstein's convention, as `torch.einsum`: letters name the dimensions of each operand, letters
 * that the output does not name are summed over. Repeated letters take a diagonal (`"ii->i"`), `...` stands for any further
 * dimensions, which broadcast. Without `->` the output has every letter that occurs once, in alphabetical order.
 *
 *     einsum("bhqd,bhkd->bhqk", q, k)   attention scores
 *     einsum("i,j->ij", a, b)           outer product
 *     einsum("bij->b", x)               sum of each matrix
 *
 * Operands are joined from left to right, each pair by a batched matrix product, so the order decides the cost. Gradients
 * come from the operations it is made of.
 * @param operands f32 or f16, all the same
 * @throws ValueError or ShapeError, with the equation, if it cannot be read or does not fit the operands
 */
export function einsum(equation: string, ...operands: Tensor[]): Tensor {
  const parsed = parseEquation(
    equation,
    operands.map((x) => x.shape),
  );
  const { inputs, output, sizes } = parsed;
  /** Labels that the operands after `index` or the output need. */
  const neededAfter = (index: number) => new Set([...inputs.slice(index + 1).flat(), ...output]);
  const prepared = operands.map((x, index) => {
    const others = new Set([...inputs.filter((_, i) => i !== index).flat(), ...output]);
    return expandSizes(sumUnneeded(takeDiagonals({ x, labels: inputs[index]! }, parsed), others), sizes);
  });
  const joined = prepared.reduce((left, right, index) => contract(left, right, neededAfter(index), sizes));
  return arrange(joined, output);
}
