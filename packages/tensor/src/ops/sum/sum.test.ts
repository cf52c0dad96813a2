import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { sumTo } from "./index.js";

/** Sum over `dims` of a row-major tensor in f64. */
function sumReference(data: ArrayLike<number>, shape: Shape, dims: readonly number[]): number[] {
  const kept = shape.map((_, d) => d).filter((d) => !dims.includes(d));
  const y = new Array<number>(numel(kept.map((d) => shape[d]!))).fill(0);
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    const at = new Array<number>(shape.length);
    for (let d = shape.length - 1; d >= 0; d--) {
      at[d] = rest % shape[d]!;
      rest = Math.floor(rest / shape[d]!);
    }
    y[kept.reduce((place, d) => place * shape[d]! + at[d]!, 0)]! += data[i]!;
  }
  return y;
}

describe("sum", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());
  const whole = (count: number) => Float32Array.from({ length: count }, (_, i) => ((i * 5) % 11) - 5);

  it.each<{ shape: number[]; dim: number | number[] | null }>([
    { shape: [], dim: null },
    { shape: [1], dim: 0 },
    { shape: [2, 3, 4, 2, 3], dim: [0, 2, 4] },
    { shape: [2, 3, 4, 2, 3], dim: [-2, 1] },
    { shape: [20000], dim: null },
    { shape: [3, 7000], dim: 1 },
    { shape: [7000, 3], dim: 0 },
    { shape: [70, 50, 6], dim: [0, 2] },
    { shape: [0, 3], dim: 0 },
    { shape: [3, 0], dim: 1 },
    { shape: [0, 3], dim: 1 },
  ])("of $shape over $dim, and its gradient", async ({ shape, dim }) => {
    const data = whole(numel(shape));
    const x = Tensor.from(device, data, shape, { requiresGrad: true });
    const dims = (dim === null ? shape.map((_, d) => d) : [dim].flat()).map((d) =>
      d < 0 ? d + shape.length : d,
    );
    const y = x.sum(dim);
    expect(await list(y)).toEqual(sumReference(data, shape, dims));
    expect(x.sum(dim, true).shape).toEqual(shape.map((size, d) => (dims.includes(d) ? 1 : size)));
    y.mul(3).sum().backward();
    expect(await list(x.grad!)).toEqual(new Array(data.length).fill(3));
  });

  it("reads views: transposed, sliced, expanded", async () => {
    const data = whole(24);
    const x = Tensor.from(device, data, [2, 3, 4]);
    expect(await list(x.transpose(0, 2).sum(1))).toEqual(await list(x.sum(1).transpose(0, 1)));
    expect(
      await list(
        x
          .slice([
            [1, 2],
            [0, 3, 2],
          ])
          .sum(),
      ),
    ).toEqual([12, 13, 14, 15, 20, 21, 22, 23].reduce((t, i) => [t[0]! + data[i]!], [0]));
    expect(await list(Tensor.full(device, [1], 2).expand([1000, 7]).sum(0))).toEqual(new Array(7).fill(2000));
  });

  it("mean divides by the number of elements, and of none is NaN", async () => {
    const x = Tensor.from(device, Float32Array.of(1, 2, 3, 6), [2, 2], { requiresGrad: true });
    expect(await x.mean().item()).toBe(3);
    expect(await list(x.mean(0))).toEqual([2, 4]);
    x.mean().backward();
    expect(await list(x.grad!)).toEqual([0.25, 0.25, 0.25, 0.25]);
    expect(await Tensor.zeros(device, [0]).mean().item()).toBeNaN();
    expect(await Tensor.zeros(device, [0]).sum().item()).toBe(0);
  });

  it("adds integers exactly, and counts bool", async () => {
    const big = Tensor.from(device, Int32Array.of(2 ** 30, 1, 1), [3]);
    expect(await big.sum().item()).toBe(2 ** 30 + 2);
    const yes = Tensor.from(device, Uint8Array.of(1, 0, 1, 1), [4]);
    expect(await yes.sum().item()).toBe(3);
    expect(yes.sum().dtype).toBe("i32");
  });

  it("keeps f16 in f16 but adds in f32", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    const y = Tensor.full(device, [4096], 1, { dtype: "f16" }).sum();
    expect(y.dtype).toBe("f16");
    expect(await y.item()).toBe(4096);
  });

  it("stays accurate over a million elements", async () => {
    const x = Tensor.full(device, [1 << 20], 0.1);
    expect(Math.abs((await x.sum().item()) / (Math.fround(0.1) * 2 ** 20) - 1)).toBeLessThan(2e-6);
  });

  it("sumTo undoes a broadcast", async () => {
    const x = Tensor.full(device, [2, 3, 4], 1);
    expect(await list(sumTo(x, [3, 1]))).toEqual([8, 8, 8]);
    expect(sumTo(x, [2, 3, 4])).toBe(x);
    expect(sumTo(x, []).shape).toEqual([]);
  });

  it("refuses a dimension twice or outside", () => {
    const x = Tensor.zeros(device, [2, 3]);
    expect(() => x.sum([0, -2])).toThrow("sum: a dim appears twice in [0, 0]");
    expect(() => x.mean(2)).toThrow("mean: dim 2 is out of range for 2 dimensions");
  });
});
