/** What average pooling is checked with. */
export const avgPool2dCases = [
  {
    note: "halving",
    x: [2, 3, 6, 8],
    kernelSize: [2, 2],
    stride: [2, 2],
    padding: [0, 0],
    countIncludePad: true,
  },
  {
    note: "overlap and padding",
    x: [1, 2, 7, 5],
    kernelSize: [3, 3],
    stride: [2, 1],
    padding: [1, 1],
    countIncludePad: true,
  },
  {
    note: "padding not counted",
    x: [1, 2, 7, 5],
    kernelSize: [3, 2],
    stride: [2, 2],
    padding: [1, 1],
    countIncludePad: false,
  },
  {
    note: "gaps between windows",
    x: [1, 1, 9, 9],
    kernelSize: [2, 2],
    stride: [4, 3],
    padding: [0, 0],
    countIncludePad: true,
  },
  {
    note: "one window",
    x: [3, 1, 4, 4],
    kernelSize: [4, 4],
    stride: [1, 1],
    padding: [0, 0],
    countIncludePad: true,
  },
] as const;
