import { afterAll, describe, expect, it } from "vitest";
import { gradcheck } from "../../autograd/gradcheck.js";
import { scope } from "../../autograd/modes.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { testLadders } from "../../testing/ladders.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { numbers, openBoth, stepChoices } from "../rows/testing.js";
import { gelu } from "./index.js";
import { entries } from "./lab.js";
import { geluBackwardLadder, geluLadder } from "./ladder.js";
import { geluGradientReference, geluReference } from "./reference.js";

const devices = await openBoth();
afterAll(() => {
  for (const { device } of devices) device.close();
});

testLadders(entries, devices);

for (const { name, device } of devices) {
  describe(`gelu with ${name}`, () => {
    it.skipIf(fixturesMissing)("computes PyTorch's values with every step", async () => {
      for (const choice of stepChoices(device, [geluLadder, geluBackwardLadder])) {
        choice.apply();
        try {
          await expectFixtures(device, "gelu");
        } finally {
          device.variants.clear();
        }
      }
    });

    it("keeps the relative accuracy of the tail, and what is far outside of it", async () => {
      const values = Float32Array.of(-12, -9, -5, -3, -1, -0.5, -1e-6, 0, 1e-6, 0.5, 1, 3, 5, 9, 30, 1e30);
      const x = Tensor.from(device, values, [values.length]);
      expectClose(await gelu(x).toArray(), geluReference(values), { rtol: 6e-6, atol: 1e-30 }, "y");
      expect(Number.isNaN(await gelu(Tensor.full(device, [], Number.NaN)).item())).toBe(true);
    });

    it("takes views, integers and an expanded gradient", async () => {
      const data = numbers(12, 1, "f32", 3);
      const x = Tensor.from(device, data, [3, 4], { requiresGrad: true });
      const y = scope(() => {
        const made = gelu(x.transpose(0, 1)).transpose(0, 1);
        made.sum().backward();
        return made.contiguous();
      });
      expectClose(await y.toArray(), geluReference(data), { rtol: 2e-6, atol: 1e-6 }, "y");
      const ones = new Float32Array(12).fill(1);
      expectClose(
        await x.grad!.toArray(),
        geluGradientReference(data, ones),
        { rtol: 2e-6, atol: 1e-6 },
        "dx",
      );
      const whole = gelu(Tensor.from(device, Int32Array.of(-1, 2), [2]));
      expectClose(await whole.toArray(), geluReference([-1, 2]), { rtol: 2e-6, atol: 1e-6 }, "of integers");
    });

    it("passes gradcheck", async () => {
      const x = Tensor.from(device, numbers(15, 2, "f32", 4), [3, 5], { requiresGrad: true });
      expect(await gradcheck((of) => gelu(of), [x])).toBe(true);
    });
  });
}
