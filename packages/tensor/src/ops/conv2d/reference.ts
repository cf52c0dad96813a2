/** A convolution in plain numbers; see `conv2d` for the letters. */
export interface ConvolutionCase {
  readonly x: readonly [number, number, number, number];
  readonly weight: readonly [number, number, number, number];
  readonly stride: readonly [number, number];
  readonly padding: readonly [number, number];
  readonly dilation: readonly [number, number];
  readonly groups: number;
}

/** Rows and columns of the result. */
export function outSizeOf(c: ConvolutionCase): [number, number] {
  const along = (d: 0 | 1) => {
    const extent = c.dilation[d] * (c.weight[2 + d]! - 1) + 1;
    return Math.floor((c.x[2 + d]! + 2 * c.padding[d] - extent) / c.stride[d]) + 1;
  };
  return [along(0), along(1)];
}

/** Calls `visit` once for each product of the definition, with the places in x, weight and y that it joins. */
function forEachProduct(c: ConvolutionCase, visit: (x: number, weight: number, y: number) => void): void {
  const [n, channels, height, width] = c.x;
  const [outputs, depth, rows, columns] = c.weight;
  const [p, q] = outSizeOf(c);
  for (let image = 0; image < n; image++)
    for (let o = 0; o < outputs; o++)
      for (let i = 0; i < p; i++)
        for (let j = 0; j < q; j++)
          for (let k = 0; k < depth; k++)
            for (let r = 0; r < rows; r++)
              for (let s = 0; s < columns; s++) {
                const h = i * c.stride[0] - c.padding[0] + r * c.dilation[0];
                const v = j * c.stride[1] - c.padding[1] + s * c.dilation[1];
                if (h < 0 || h >= height || v < 0 || v >= width) continue;
                const channel = Math.floor(o / (outputs / c.groups)) * depth + k;
                visit(
                  ((image * channels + channel) * height + h) * width + v,
                  ((o * depth + k) * rows + r) * columns + s,
                  ((image * outputs + o) * p + i) * q + j,
                );
              }
}

/** y of a convolution, summed in float64. */
export function conv2dReference(
  c: ConvolutionCase,
  x: Float32Array,
  weight: Float32Array,
  bias?: Float32Array,
): Float64Array {
  const [p, q] = outSizeOf(c);
  const outputs = c.weight[0];
  const y = Float64Array.from(
    { length: c.x[0] * outputs * p * q },
    (_, i) => bias?.[Math.floor(i / (p * q)) % outputs] ?? 0,
  );
  forEachProduct(c, (a, b, out) => {
    y[out]! += x[a]! * weight[b]!;
  });
  return y;
}

/** Gradients for x, weight and bias of `conv2dReference` where y has the gradient `dy`. */
export function conv2dBackwardReference(
  c: ConvolutionCase,
  x: Float32Array,
  weight: Float32Array,
  dy: Float32Array,
) {
  const gradients = {
    x: new Float64Array(x.length),
    weight: new Float64Array(weight.length),
    bias: new Float64Array(c.weight[0]),
  };
  const [p, q] = outSizeOf(c);
  forEachProduct(c, (a, b, out) => {
    gradients.x[a]! += dy[out]! * weight[b]!;
    gradients.weight[b]! += dy[out]! * x[a]!;
  });
  dy.forEach((value, i) => {
    gradients.bias[Math.floor(i / (p * q)) % c.weight[0]]! += value;
  });
  return gradients;
}
