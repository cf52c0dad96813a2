import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { cat, split, stack } from "./index.js";

describe("join", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());
  const count = (shape: number[], from = 0) =>
    Tensor.from(
      device,
      Float32Array.from({ length: numel(shape) }, (_, i) => from + i),
      shape,
      { requiresGrad: true },
    );

  it("cat joins along any dimension of five, and hands each part its gradient", async () => {
    for (const dim of [0, 2, -1]) {
      const shapes = [1, 2, 3].map((size) =>
        [2, 3, 4, 2, 3].map((other, d) => (d === (dim + 5) % 5 ? size : other)),
      );
      const parts = shapes.map((shape, i) => count(shape, 1000 * i));
      const y = cat(parts, dim);
      let start = 0;
      for (const part of parts) {
        const length = part.size(dim);
        expect(await list(y.narrow(dim, start, length))).toEqual(await list(part));
        start += length;
      }
      y.mul(y.detach()).sum().backward();
      for (const part of parts) expect(await list(part.grad!)).toEqual(await list(part));
    }
  });

  it("cat takes views, empty parts, integers and one tensor twice", async () => {
    const x = count([2, 3]);
    const y = cat([x.transpose(0, 1), Tensor.zeros(device, [0, 2]), x.transpose(0, 1)]);
    expect(await list(y)).toEqual([0, 3, 1, 4, 2, 5, 0, 3, 1, 4, 2, 5]);
    y.sum().backward();
    expect(await list(x.grad!)).toEqual(new Array(6).fill(2));
    const ids = Tensor.from(device, Int32Array.of(1, 2), [2]);
    expect(await list(cat([ids, ids]))).toEqual([1, 2, 1, 2]);
  });

  it("cat of one tensor is a copy", async () => {
    const x = count([2]);
    const y = cat([x]);
    x.fill_(9);
    expect(await list(y)).toEqual([0, 1]);
  });

  it("stack makes a new dimension anywhere", async () => {
    const [a, b] = [count([2, 2]), count([2, 2], 10)];
    expect(stack([a, b]).shape).toEqual([2, 2, 2]);
    expect(await list(stack([a, b], -1))).toEqual([0, 10, 1, 11, 2, 12, 3, 13]);
    expect(await list(stack([a, b], 1))).toEqual([0, 1, 10, 11, 2, 3, 12, 13]);
    stack([a, b, a], 2).sum().backward();
    expect(await list(a.grad!)).toEqual([2, 2, 2, 2]);
  });

  it("split gives views of equal or listed lengths, and puts gradients back", async () => {
    const x = count([5, 2]);
    const parts = split(x, 2);
    expect(parts.map((part) => part.shape)).toEqual([
      [2, 2],
      [2, 2],
      [1, 2],
    ]);
    expect(parts[1]!.storage).toBe(x.storage);
    expect(await list(parts[2]!)).toEqual([8, 9]);
    const [first, , last] = x.split([1, 3, 1]) as [Tensor, Tensor, Tensor];
    first.sum().add(last.sum().mul(2)).backward();
    expect(await list(x.grad!)).toEqual([1, 1, 0, 0, 0, 0, 0, 0, 2, 2]);
    expect(split(Tensor.zeros(device, [0, 2]), 3).map((part) => part.shape)).toEqual([[0, 2]]);
    expect(x.split([5, 0]).map((part) => part.shape)).toEqual([
      [5, 2],
      [0, 2],
    ]);
  });

  it("says what does not fit", () => {
    const [a, b] = [Tensor.zeros(device, [2, 3]), Tensor.zeros(device, [2, 4])];
    expect(() => cat([a, b])).toThrow(
      "cat: tensor 1 is [2, 4], tensor 0 is [2, 3]; they may differ in dimension 0 only",
    );
    expect(() => cat([a, a.to("i32")])).toThrow("cat: tensor 1 is i32, tensor 0 is f32");
    expect(() => cat([])).toThrow("cat: needs at least one tensor");
    expect(() => cat([Tensor.zeros(device, [])])).toThrow(
      "0-d tensors have no dimension to join along; use stack",
    );
    expect(() => stack([a, b])).toThrow("stack: tensor 1 is [2, 4], tensor 0 is [2, 3]");
    expect(() => split(a, [1, 2], 0)).toThrow(
      "split: sections [1, 2] add up to 3, dimension 0 of [2, 3] has 2",
    );
    expect(() => split(a, 0)).toThrow("split: a part of 0 entries is no part");
  });
});
