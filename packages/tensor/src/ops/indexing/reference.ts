import { contiguousStrides, numel, type Shape } from "../../shape.js";

/** For each element of `index` its place in a row-major tensor of `shape`, with the coordinate of `dim` taken from the index. */
function places(shape: Shape, dim: number, index: ArrayLike<number>, indexShape: Shape): number[] {
  const strides = contiguousStrides(shape);
  const steps = contiguousStrides(indexShape);
  return Array.from({ length: numel(indexShape) }, (_, i) =>
    strides.reduce((at, stride, d) => {
      const coordinate = d === dim ? index[i]! : Math.floor(i / steps[d]!) % indexShape[d]!;
      return at + coordinate * stride;
    }, 0),
  );
}

/** The plain counterpart of `gather`. */
export function gatherReference(
  x: ArrayLike<number>,
  shape: Shape,
  dim: number,
  index: ArrayLike<number>,
  indexShape: Shape,
): number[] {
  return places(shape, dim, index, indexShape).map((at) => x[at]!);
}

/** The plain counterpart of `scatterAdd`, for a `src` of the index's shape; over zeros it is the backward of `gather`. */
export function scatterAddReference(
  x: ArrayLike<number>,
  shape: Shape,
  dim: number,
  index: ArrayLike<number>,
  indexShape: Shape,
  src: ArrayLike<number>,
): number[] {
  const y = Array.from(x);
  places(shape, dim, index, indexShape).forEach((at, i) => {
    y[at]! += src[i]!;
  });
  return y;
}
