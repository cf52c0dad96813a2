/** One pooling in plain numbers; see `avgPool2d`. */
export interface PoolingCase {
  readonly x: readonly [number, number, number, number];
  readonly kernelSize: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly countIncludePad: boolean;
}

/** Rows and columns of the result. */
function outSizeOf(c: PoolingCase): [number, number] {
  const along = (d: 0 | 1) =>
    Math.floor((c.x[2 + d]! + 2 * c.padding[d] - c.kernelSize[d]) / c.stride[d]) + 1;
  return [along(0), along(1)];
}

/** Calls `visit` for each pair of an element of x and a window of y that contains it, with its share in the mean. */
function forEachShare(c: PoolingCase, visit: (x: number, y: number, share: number) => void): void {
  const [n, channels, height, width] = c.x;
  const [p, q] = outSizeOf(c);
  for (let plane = 0; plane < n * channels; plane++)
    for (let i = 0; i < p; i++)
      for (let j = 0; j < q; j++) {
        const places: number[] = [];
        for (let r = 0; r < c.kernelSize[0]; r++)
          for (let s = 0; s < c.kernelSize[1]; s++) {
            const h = i * c.stride[0] - c.padding[0] + r;
            const v = j * c.stride[1] - c.padding[1] + s;
            if (h >= 0 && h < height && v >= 0 && v < width) places.push((plane * height + h) * width + v);
          }
        const count = c.countIncludePad ? c.kernelSize[0] * c.kernelSize[1] : places.length;
        for (const place of places) visit(place, (plane * p + i) * q + j, 1 / count);
      }
}

/** y of average pooling, with its shape. */
export function avgPool2dReference(c: PoolingCase, x: Float32Array): { shape: number[]; data: Float64Array } {
  const shape = [c.x[0], c.x[1], ...outSizeOf(c)];
  const data = new Float64Array(shape.reduce((product, size) => product * size, 1));
  forEachShare(c, (a, out, share) => {
    data[out]! += x[a]! * share;
  });
  return { shape, data };
}

/** Gradient for x where y has the gradient `dy`. */
export function avgPool2dBackwardReference(c: PoolingCase, dy: Float32Array): Float64Array {
  const dx = new Float64Array(c.x[0] * c.x[1] * c.x[2] * c.x[3]);
  forEachShare(c, (a, out, share) => {
    dx[a]! += dy[out]! * share;
  });
  return dx;
}
