import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { gradcheck } from "../../autograd/gradcheck.js";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { div, sub } from "./binary.js";
import { where } from "./where.js";

describe("elementwise", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const list = async (x: Tensor) => Array.from(await x.toArray());
  const floats = (...values: number[]) => Tensor.from(device, Float32Array.from(values), [values.length]);
  const ints = (...values: number[]) => Tensor.from(device, Int32Array.from(values), [values.length]);
  const count = (shape: number[]) =>
    Tensor.from(
      device,
      Float32Array.from({ length: numel(shape) }, (_, i) => i + 1),
      shape,
    );

  describe("shapes", () => {
    it.each([0, 1, 3, 4, 5, 63, 64, 65, 257])("take %i elements", async (n) => {
      expect(
        await list(
          count([n])
            .mul(2)
            .add(count([n])),
        ),
      ).toEqual(Array.from({ length: n }, (_, i) => 3 * (i + 1)));
    });

    it("take 0-d tensors", async () => {
      const x = Tensor.full(device, [], 3);
      expect(x.add(x).shape).toEqual([]);
      expect(await x.add(x).square().item()).toBe(36);
      expect(await list(count([3]).mul(x))).toEqual([3, 6, 9]);
    });

    it("broadcast five dimensions both ways", async () => {
      const a = count([2, 1, 3, 1, 2]);
      const b = count([2, 1, 4, 1]);
      const y = a.mul(b);
      expect(y.shape).toEqual([2, 2, 3, 4, 2]);
      const want: number[] = [];
      for (let i = 0; i < 2; i++)
        for (let j = 0; j < 2; j++)
          for (let k = 0; k < 3; k++)
            for (let l = 0; l < 4; l++)
              for (let m = 0; m < 2; m++) want.push((i * 6 + k * 2 + m + 1) * (j * 4 + l + 1));
      expect(await list(y)).toEqual(want);
    });

    it("read views with gaps, offsets that vec4 cannot take, and a bias row under a matrix", async () => {
      const x = count([4, 6]);
      expect(
        await list(
          x
            .slice([
              [1, 3],
              [1, 6, 2],
            ])
            .add(0.5),
        ),
      ).toEqual([8.5, 10.5, 12.5, 14.5, 16.5, 18.5]);
      expect(await list(count([9]).narrow(0, 1, 8).neg())).toEqual([-2, -3, -4, -5, -6, -7, -8, -9]);
      expect(await list(x.transpose(0, 1).narrow(0, 0, 1).mul(2))).toEqual([2, 14, 26, 38]);
      const bias = count([1, 12]).narrow(1, 4, 8);
      expect(await list(Tensor.zeros(device, [2, 8]).add(bias))).toEqual([
        5, 6, 7, 8, 9, 10, 11, 12, 5, 6, 7, 8, 9, 10, 11, 12,
      ]);
    });

    it("say which sizes do not broadcast", () => {
      expect(() => count([2, 3]).add(count([2, 4]))).toThrow(
        "add: shapes [2, 3] and [2, 4] do not broadcast (3 ≠ 4 in dimension -1). Sizes must be equal or 1",
      );
    });
  });

  describe("types", () => {
    it("keep integers exact beside whole numbers, and make them f32 beside fractions", async () => {
      const x = ints(2 ** 30 + 1, -7, 3);
      expect(await list(x.add(2))).toEqual([2 ** 30 + 3, -5, 5]);
      expect(await list(x.mul(-1))).toEqual([-(2 ** 30) - 1, 7, -3]);
      expect(await list(x.clamp(null, 5))).toEqual([5, -7, 3]);
      expect(await list(x.clamp(-5, null))).toEqual([2 ** 30 + 1, -5, 3]);
      expect(await list(sub(1, x))).toEqual([-(2 ** 30), 8, -2]);
      expect(x.add(2).dtype).toBe("i32");
      expect(await list(ints(1, 3).mul(0.5))).toEqual([0.5, 1.5]);
      expect(await list(ints(1, 4).sqrt())).toEqual([1, 2]);
      expect(await list(ints(1, 3).neg())).toEqual([-1, -3]);
      expect(await list(x.maskedFill(x.lt(0), 5))).toEqual([2 ** 30 + 1, 5, 3]);
    });

    it("divide integers as floats, as PyTorch does", async () => {
      expect(await list(ints(7, -7).div(2))).toEqual([3.5, -3.5]);
      expect(await list(ints(7, -7).div(ints(2, 2)))).toEqual([3.5, -3.5]);
      expect(await list(div(1, ints(2, 4)))).toEqual([0.5, 0.25]);
      expect(await list(ints(2, 3).pow(ints(3, 2)))).toEqual([8, 9]);
    });

    it("compare integers with any number", async () => {
      const x = ints(-1, 0, 1);
      expect(await list(x.gt(0.5))).toEqual([0, 0, 1]);
      expect(await list(x.lt(1e12))).toEqual([1, 1, 1]);
      expect(await list(x.eq(-1))).toEqual([1, 0, 0]);
      expect(await list(ints(2 ** 30, 2 ** 30 + 1).eq(2 ** 30 + 1))).toEqual([0, 1]);
      expect(await list(Tensor.from(device, Uint32Array.of(0, 5), [2]).gt(-1))).toEqual([1, 1]);
      expect(x.ne(0).dtype).toBe("bool");
      expect(await list(x.ge(0).eq(x.le(0)))).toEqual([0, 1, 0]);
    });

    it("meet in the wider type", async () => {
      expect(await list(ints(1, 2).add(floats(0.5, 0.5)))).toEqual([1.5, 2.5]);
      expect(await list(ints(1, 2).add(ints(1, 2).gt(1)))).toEqual([1, 3]);
      const y = where(ints(1, 0).eq(1), ints(7, 7), floats(0.5, 0.5));
      expect(y.dtype).toBe("f32");
      expect(await list(y)).toEqual([7, 0.5]);
    });

    it("convert between all types", async () => {
      const x = floats(-1.9, 0, 2.9);
      expect(await list(x.to("i32"))).toEqual([-1, 0, 2]);
      expect(await list(x.to("bool"))).toEqual([1, 0, 1]);
      expect(await list(x.to("bool").to("f32"))).toEqual([1, 0, 1]);
      expect(await list(ints(-1, 3).to("f32"))).toEqual([-1, 3]);
      expect(x.to("f32")).toBe(x);
      if (device.features.has("shader-f16")) {
        expect(await list(floats(1 / 3, 65504, 1e-3).to("f16"))).toEqual([
          0.333251953125, 65504, 0.0010004043579101562,
        ]);
        expect(await list(floats(1.5).to("f16").mul(2).add(floats(0.25).to("f16")))).toEqual([3.25]);
      }
    });
  });

  describe("values at the edge", () => {
    it("take infinities", async () => {
      const x = floats(Infinity, -Infinity, 0);
      expect(await list(x.clamp(-1, null))).toEqual([Infinity, -1, 0]);
      expect(await list(x.clamp(null, 1))).toEqual([1, -Infinity, 0]);
      expect(await list(x.sigmoid())).toEqual([1, 0, 0.5]);
      expect(await list(x.tanh())).toEqual([1, -1, 0]);
      expect(await list(x.exp())).toEqual([Infinity, 0, 1]);
      expect(await list(x.maskedFill(x.eq(0), Number.NEGATIVE_INFINITY))).toEqual([
        Infinity,
        -Infinity,
        -Infinity,
      ]);
    });

    it("raise to whole powers with their sign, and to 0", async () => {
      const x = floats(-2, 0, 3);
      expect(await list(x.pow(0))).toEqual([1, 1, 1]);
      for (const [s, want] of [
        [4, [16, 0, 81]],
        [5, [-32, 0, 243]],
        [3, [-8, 0, 27]],
      ] as const) {
        for (const [i, value] of (await list(x.pow(s))).entries()) expect(value).toBeCloseTo(want[i]!, 3);
      }
      const y = Tensor.zeros(device, [2]).requiresGrad_();
      y.pow(0).sum().backward();
      expect(await list(y.grad!)).toEqual([0, 0]);
      const z = Tensor.zeros(device, [1]).requiresGrad_();
      z.pow(floats(0)).sum().backward();
      expect(await list(z.grad!)).toEqual([0]);
    });

    it("share the gradient of equal operands of maximum, pass it at the bounds of clamp, and drop it at 0 of abs and relu", async () => {
      const a = floats(1, 2, 3).requiresGrad_();
      const b = floats(1, 3, 2).requiresGrad_();
      a.maximum(b).sum().backward();
      expect(await list(a.grad!)).toEqual([0.5, 0, 1]);
      expect(await list(b.grad!)).toEqual([0.5, 1, 0]);
      const c = floats(-1, 0, 1, 2).requiresGrad_();
      c.clamp(-1, 1).sum().backward();
      expect(await list(c.grad!)).toEqual([1, 1, 1, 0]);
      const d = floats(-2, 0, 2).requiresGrad_();
      d.abs().add(d.relu()).sum().backward();
      expect(await list(d.grad!)).toEqual([-1, 0, 2]);
    });
  });

  it.each<[string, (x: Tensor) => Tensor]>([
    ["exp, log, sqrt", (x) => x.exp().add(1).log().sqrt()],
    ["rsqrt, square", (x) => x.square().add(1).rsqrt()],
    ["tanh, sigmoid", (x) => x.tanh().mul(x.sigmoid())],
    ["silu, erf", (x) => x.silu().add(x.erf())],
    [
      "gelu, both forms, and quick",
      (x) =>
        x
          .gelu()
          .add(x.gelu({ approximate: "tanh" }))
          .mul(x.quickGelu()),
    ],
    [
      "numbers on both sides",
      (x) =>
        sub(2, x)
          .mul(3)
          .div(1.5)
          .add(div(1, x.square().add(1))),
    ],
    ["a power", (x) => x.square().add(0.5).pow(1.7)],
    ["where and masked fill", (x) => where(x.gt(0), x.mul(2), x.square()).maskedFill(x.lt(-1), 3)],
  ])("gradient of %s", async (_name, fn) => {
    const x = floats(-2.2, -1.3, -0.4, 0.3, 1.4, 2.5).requiresGrad_();
    expect(await gradcheck(fn, [x])).toBe(true);
  });

  it("refuses conditions that are not bool", () => {
    expect(() => where(floats(1), floats(1), floats(1))).toThrow(
      "where: the condition is f32, expected bool",
    );
    expect(() => floats(1).maskedFill(ints(1), 0)).toThrow("masked_fill: the mask is i32, expected bool");
    expect(() => floats(1).eq(1).exp()).toThrow("exp: the input is bool, expected f32 or f16 or i32 or u32");
  });
});
