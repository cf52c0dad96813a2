import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { embedding } from "../ops/embedding/index.js";
import { cat, stack } from "../ops/join/index.js";
import { normalize } from "../ops/reduce/index.js";
import { Tensor } from "../tensor.js";
import { defineOp } from "./define-op.js";
import { gradcheck } from "./gradcheck.js";

describe("gradcheck", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  /** Distinct numbers around `centre`, none of them near 0 for centre 0. */
  const leaf = (shape: number[], centre = 0) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length: count }, (_, i) => centre + 0.3 * (i + 1) * (i % 2 ? -1 : 1));
    return Tensor.from(device, data, shape, { requiresGrad: true });
  };

  it.each<[string, (x: Tensor) => Tensor | readonly Tensor[]]>([
    ["a cubic", (x) => x.mul(x).mul(x)],
    ["prod along a dimension", (x) => x.prod(0)],
    ["cumsum", (x) => x.cumsum(1)],
    ["variance and deviation", (x) => [x.var(1), x.std()]],
    ["norm", (x) => x.norm(1)],
    ["normalize", (x) => normalize(x)],
    ["max along a dimension, min of all", (x) => [x.max(1).values, x.min()]],
    ["flip, pad, triangle", (x) => x.flip([0, 1]).pad([1, -1, 0, 2], 3).tril()],
    ["split and join", (x) => cat([...x.split([1, 2], 1), x], 1)],
    ["stack of one tensor with itself", (x) => stack([x, x.mul(2)], 1)],
    ["a view as the result", (x) => x.transpose(0, 1)],
  ])("passes %s", async (_name, fn) => {
    expect(await gradcheck(fn, [leaf([2, 3])])).toBe(true);
  });

  it("passes functions of several inputs, of which some have no gradient", async () => {
    const index = Tensor.from(device, Int32Array.of(1, 0, 1, 1), [2, 2]);
    expect(await gradcheck((x, i) => x.gather(1, i), [leaf([2, 3]), index])).toBe(true);
    expect(await gradcheck((x, i, s) => x.scatterAdd(1, i, s), [leaf([2, 3]), index, leaf([2, 2], 1)])).toBe(
      true,
    );
    expect(await gradcheck((w, i) => embedding(w, i), [leaf([3, 2]), index])).toBe(true);
    expect(await gradcheck((a, b) => a.div(b), [leaf([2, 3]), leaf([3], 4)])).toBe(true);
  });

  it("finds a wrong gradient and names the input, the cell and both values", async () => {
    const wrong = defineOp<undefined>({
      name: "wrong_square",
      forward: (ctx, [a, x]) => {
        ctx.saveForBackward(x!);
        return a!.add(x!.square());
      },
      // 2 x dy is right; a's gradient is.
      backward: (ctx, [dy]) => [dy!, ctx.savedTensors[0]!.mul(dy!)],
    });
    const inputs = [leaf([2]), Tensor.from(device, Float32Array.of(0, 3), [2], { requiresGrad: true })];
    const check = gradcheck((a, x) => wrong([a, x], undefined), inputs);
    await expect(check).rejects.toThrow(
      /gradcheck: input 1 \[2\], cell \[1\]: 2\.20\d+ by backward, 4\.41\d+ by finite differences/,
    );
    expect(await gradcheck((a, x) => wrong([a, x], undefined), inputs, { raiseException: false })).toBe(
      false,
    );
  });

  it("takes a gradient that never comes as zero", async () => {
    expect(await gradcheck((x) => x.eq(1).to("f32"), [leaf([3])])).toBe(true);
    await expect(gradcheck((x) => x.detach().square(), [leaf([1])])).rejects.toThrow(
      "cell [0]: 0 by backward",
    );
  });

  it("leaves its inputs and the memory as they were", async () => {
    const x = leaf([2, 2]);
    const before = device.memory();
    await gradcheck((v) => v.exp(), [x]);
    expect(x.grad).toBeNull();
    expect(device.memory().liveTensors).toBe(before.liveTensors);
    expect(device.memory().liveBuffers).toBe(before.liveBuffers);
  });

  it("refuses inputs it cannot check", async () => {
    await expect(gradcheck((x) => x, [Tensor.zeros(device, [1])])).rejects.toThrow(
      "no input has requiresGrad set",
    );
  });
});
