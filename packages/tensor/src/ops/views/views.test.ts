import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";

describe("views", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());
  const count = (shape: number[]) =>
    Tensor.from(
      device,
      Float32Array.from({ length: numel(shape) }, (_, i) => i),
      shape,
      { requiresGrad: true },
    );

  it("share memory where the strides allow it, and copy where they do not", async () => {
    const x = count([2, 3, 4]);
    for (const y of [
      x.reshape([6, -1]),
      x.transpose(0, 2),
      x.narrow(1, 1, 2),
      x.select(0, 1),
      x.unsqueeze(1),
      x.flatten(1),
    ]) {
      expect(y.storage).toBe(x.storage);
    }
    const t = x.transpose(1, 2);
    expect(t.reshape([2, 12]).storage).not.toBe(x.storage);
    expect(await list(t.reshape([24]))).toEqual(
      [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11].flatMap((v, i, all) =>
        i === 11 ? [v, ...all.map((w) => w + 12)] : [v],
      ),
    );
    // The outer two dimensions of a transposed pair still merge.
    expect(x.permute([0, 1, 2]).reshape([6, 4]).storage).toBe(x.storage);
  });

  it("reshape takes five dimensions, 0-d and empty ones", async () => {
    expect(count([48]).reshape([2, 1, 3, 4, 2]).shape).toEqual([2, 1, 3, 4, 2]);
    expect(count([1]).reshape([]).shape).toEqual([]);
    expect(count([]).reshape([1, 1]).shape).toEqual([1, 1]);
    expect(Tensor.zeros(device, [0, 3]).reshape([3, 0, 2]).shape).toEqual([3, 0, 2]);
    expect(count([]).flatten().shape).toEqual([1]);
    expect(() => count([6]).reshape([4, -1])).toThrow(
      "reshape: [6] has 6 elements and cannot become [4, -1]",
    );
    expect(() => count([6]).reshape([-1, -1])).toThrow("cannot become [-1, -1]");
  });

  it("permute, transpose and their gradients", async () => {
    const x = count([2, 3, 2]);
    const y = x.permute([2, -3, 1]);
    expect(y.shape).toEqual([2, 2, 3]);
    expect(await list(y)).toEqual([0, 2, 4, 6, 8, 10, 1, 3, 5, 7, 9, 11]);
    y.backward({ gradient: count([2, 2, 3]).detach() });
    expect(await list(x.grad!)).toEqual([0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]);
    expect(() => x.permute([0, 1])).toThrow(
      "permute: [0, 1] does not name each of the 3 dimensions of [2, 3, 2] once",
    );
    expect(() => x.transpose(0, 3)).toThrow("transpose: dim 3 is out of range");
  });

  it("slice by Python's rules, with gradients in the gaps", async () => {
    const x = count([6]);
    const picks: [[number | null, number | null, number?], number[]][] = [
      [
        [null, null],
        [0, 1, 2, 3, 4, 5],
      ],
      [
        [-2, null],
        [4, 5],
      ],
      [
        [1, -1, 2],
        [1, 3],
      ],
      [[4, 2], []],
      [
        [-100, 100, 4],
        [0, 4],
      ],
    ];
    for (const [range, want] of picks) expect(await list(x.slice([range]))).toEqual(want);
    x.slice([[1, null, 3]])
      .mul(2)
      .sum()
      .backward();
    expect(await list(x.grad!)).toEqual([0, 2, 0, 0, 2, 0]);
    expect(() => x.slice([[null, null, -1]])).toThrow(
      "slice: step -1 is not positive; use flip for a reversed view",
    );
    expect(() => x.narrow(0, 4, 3)).toThrow("narrow: 3 entries from 4 on are outside dimension 0 of [6]");
    expect(() => x.select(0, 6)).toThrow("select: index 6 is outside dimension 0 of [6]");
    expect(await x.select(0, -1).item()).toBe(5);
  });

  it("views of views of views", async () => {
    const x = count([4, 6]);
    const y = x
      .slice([
        [1, 4],
        [1, 6, 2],
      ])
      .transpose(0, 1)
      .narrow(0, 1, 2)
      .select(1, 2);
    expect(await list(y)).toEqual([21, 23]);
    y.sum().backward();
    expect((await list(x.grad!)).flatMap((g, i) => (g ? [i] : []))).toEqual([21, 23]);
  });

  it("expand repeats without memory, and its gradient adds up", async () => {
    const x = count([3, 1]);
    const y = x.expand([2, 3, 4]);
    expect(y.storage).toBe(x.storage);
    expect(await list(y.select(0, 1))).toEqual([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    y.sum().backward();
    expect(await list(x.grad!)).toEqual([8, 8, 8]);
    expect(() => x.expand([2, 4])).toThrow(
      "expand: [3, 1] does not expand to [2, 4]; only sizes of 1 can grow",
    );
    expect(x.expand([-1, 5]).shape).toEqual([3, 5]);
  });

  it("squeeze and unsqueeze", () => {
    const x = count([1, 3, 1]);
    expect(x.squeeze().shape).toEqual([3]);
    expect(x.squeeze(0).shape).toEqual([3, 1]);
    expect(x.squeeze(1).shape).toEqual([1, 3, 1]);
    expect(x.unsqueeze(-1).shape).toEqual([1, 3, 1, 1]);
    expect(count([]).unsqueeze(0).shape).toEqual([1]);
  });

  it("diagonal of the last two dimensions, and its gradient", async () => {
    const x = count([2, 2, 3]);
    expect(await list(x.diagonal())).toEqual([0, 4, 6, 10]);
    x.diagonal().sum().backward();
    expect(await list(x.grad!)).toEqual([1, 0, 0, 0, 1, 0, 1, 0, 0, 0, 1, 0]);
  });

  it("copies: clone is alone in its memory, contiguous copies only what has gaps", async () => {
    const x = count([2, 3]);
    expect(x.contiguous()).toBe(x);
    const y = x.transpose(0, 1).contiguous();
    expect([y.isContiguous, y.storage === x.storage]).toEqual([true, false]);
    const z = x.clone();
    x.fill_(7);
    expect(await list(z)).toEqual([0, 1, 2, 3, 4, 5]);
    z.mul(2).sum().backward();
    expect(await list(x.grad!)).toEqual([2, 2, 2, 2, 2, 2]);
  });

  it("copy_ takes tensors of other types and layouts, also its own transpose", async () => {
    const x = Tensor.from(device, Float32Array.of(1, 2, 3, 4), [2, 2]);
    x.copy_(x.transpose(0, 1));
    expect(await list(x)).toEqual([1, 3, 2, 4]);
    x.copy_(Int32Array.of(9, 8, 7, 6));
    expect(await list(x)).toEqual([9, 8, 7, 6]);
    expect(() => x.copy_(Float32Array.of(1))).toThrow("copy_: 1 elements for a tensor of shape [2, 2] (4)");
    expect(() => x.narrow(0, 1, 1).fill_(0)).toThrow("fill_: the target must be contiguous");
  });

  it("read back every element type, from odd places too", async () => {
    const x = count([7]);
    expect(await list(x.narrow(0, 3, 2))).toEqual([3, 4]);
    if (device.features.has("shader-f16")) expect(await list(x.to("f16").narrow(0, 3, 3))).toEqual([3, 4, 5]);
    expect(await x.reshape([7, 1]).narrow(0, 1, 2).tolist()).toEqual([[1], [2]]);
    expect(await x.gt(5).tolist()).toEqual([false, false, false, false, false, false, true]);
    await expect(x.item()).rejects.toThrow("item: [7] has 7 elements, not one");
  });
});
