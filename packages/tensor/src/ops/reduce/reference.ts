import type { Shape } from "../../shape.js";
import { type Lines, linesAlong } from "./lines.js";

/** Calls `visit` with the values of each line along `dim`, in order. */
function eachLine(
  x: ArrayLike<number>,
  shape: Shape,
  dim: number,
  visit: (values: number[], places: number[]) => void,
): void {
  const { outer, length, inner }: Lines = linesAlong(shape, dim);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const places = Array.from({ length }, (_, k) => (o * length + k) * inner + i);
      visit(
        places.map((at) => x[at]!),
        places,
      );
    }
  }
}

/** Values and places of the largest (or smallest) elements along `dim`: the first of equal ones, NaN before all. */
export function extremeReference(
  x: ArrayLike<number>,
  shape: Shape,
  dim: number,
  which: "max" | "min",
): { values: number[]; indices: number[] } {
  const values: number[] = [];
  const indices: number[] = [];
  eachLine(x, shape, dim, (line) => {
    let best = 0;
    line.forEach((value, k) => {
      const better = which === "max" ? value > line[best]! : value < line[best]!;
      if (!Number.isNaN(line[best]!) && (better || Number.isNaN(value))) best = k;
    });
    values.push(line[best]!);
    indices.push(best);
  });
  return { values, indices };
}

/** Products along `dim`. */
export function prodReference(x: ArrayLike<number>, shape: Shape, dim: number): number[] {
  const y: number[] = [];
  eachLine(x, shape, dim, (line) => y.push(line.reduce((product, value) => product * value, 1)));
  return y;
}

/** The gradient of `prodReference`: dy times the product of all other elements of the line, one by one. */
export function prodBackwardReference(
  x: ArrayLike<number>,
  shape: Shape,
  dim: number,
  dy: ArrayLike<number>,
): number[] {
  const dx = new Array<number>(x.length);
  let n = 0;
  eachLine(x, shape, dim, (line, places) => {
    places.forEach((at, k) => {
      dx[at] = line.reduce((product, value, other) => (other === k ? product : product * value), dy[n]!);
    });
    n++;
  });
  return dx;
}

/** Running sums along `dim`, from the end if `reverse`. */
export function cumsumReference(x: ArrayLike<number>, shape: Shape, dim: number, reverse = false): number[] {
  const y = new Array<number>(x.length);
  eachLine(x, shape, dim, (line, places) => {
    let total = 0;
    for (let step = 0; step < line.length; step++) {
      const k = reverse ? line.length - 1 - step : step;
      total += line[k]!;
      y[places[k]!] = total;
    }
  });
  return y;
}
