import type { ConvolutionCase } from "./reference.js";

/** What the convolution is checked with. Tolerance: 2e-5 of the value plus 1e-5, for sums of up to some thousand products. */
export const conv2dCases: readonly (ConvolutionCase & { readonly note: string })[] = [
  {
    note: "patches, two pixels left over on each axis",
    x: [2, 3, 18, 10],
    weight: [5, 3, 4, 4],
    stride: [4, 4],
    padding: [0, 0],
    dilation: [1, 1],
    groups: 1,
  },
  {
    note: "3 x 3 with padding",
    x: [2, 4, 9, 7],
    weight: [6, 4, 3, 3],
    stride: [1, 1],
    padding: [1, 1],
    dilation: [1, 1],
    groups: 1,
  },
  {
    note: "dilation, unequal strides and padding",
    x: [1, 2, 11, 13],
    weight: [3, 2, 3, 2],
    stride: [2, 3],
    padding: [2, 1],
    dilation: [2, 3],
    groups: 1,
  },
  {
    note: "groups",
    x: [2, 6, 5, 5],
    weight: [4, 3, 2, 2],
    stride: [1, 2],
    padding: [0, 1],
    dilation: [1, 1],
    groups: 2,
  },
  {
    note: "depthwise",
    x: [1, 8, 6, 6],
    weight: [8, 1, 3, 3],
    stride: [1, 1],
    padding: [1, 1],
    dilation: [1, 1],
    groups: 8,
  },
  {
    note: "the filter is the picture",
    x: [3, 2, 4, 5],
    weight: [7, 2, 4, 5],
    stride: [1, 1],
    padding: [0, 0],
    dilation: [1, 1],
    groups: 1,
  },
];
