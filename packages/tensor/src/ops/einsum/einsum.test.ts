import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { expectClose } from "../../testing/compare.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { einsumCases } from "./cases.js";
import { einsum } from "./index.js";
import { einsumBackwardReference, einsumReference } from "./reference.js";

const values = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.fround(Math.sin(i * 12.9898 + seed * 78.233)));
const tolerance = { rtol: 5e-6, atol: 3e-6 };

describe.each(["adapter", "default"] as const)("einsum, limits of the %s", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(limits === "default" ? { limits, features: [] } : { limits });
  });
  afterAll(() => device.close());

  it.each(einsumCases)("$equation ($note)", async ({ equation, shapes }) => {
    const host = shapes.map((shape, i) => ({ shape, data: values(numel(shape), i + 1) }));
    const operands = host.map(({ shape, data }) => Tensor.from(device, data, shape, { requiresGrad: true }));
    const want = einsumReference(equation, host);
    const y = einsum(equation, ...operands);
    expect(y.shape).toEqual(want.shape);
    expectClose(await y.toArray(), want.data, tolerance, "y");
    const dy = values(y.numel, 9);
    using gradient = Tensor.from(device, dy, y.shape);
    y.backward({ gradient });
    const gradients = einsumBackwardReference(equation, host, dy);
    for (const [i, operand] of operands.entries()) {
      expectClose(await operand.grad!.toArray(), gradients[i]!, tolerance, `gradient of operand ${i}`);
      operand.dispose();
    }
    y.dispose();
  });

  it.skipIf(fixturesMissing)("agrees with PyTorch", () => expectFixtures(device, "einsum"));

  it("names the equation and what is wrong with it", () => {
    scope(() => {
      const make = (...shape: number[]) => Tensor.zeros(device, shape);
      const [a, b] = [make(3, 4), make(5, 6)];
      expect(() => einsum("ij,jk->ik", a, b)).toThrow(
        'einsum "ij,jk->ik": j is 5 in operand 1, [5, 6], and 4 before it.',
      );
      expect(() => einsum("ij,jk->ik", a)).toThrow(/names 2 operand\(s\), 1 were given: \[3, 4\]/);
      expect(() => einsum("ijk->k", a)).toThrow(/operand 0 is \[3, 4\] but "ijk" names 3 dimension\(s\)/);
      expect(() => einsum("i...jk->k", a)).toThrow(/names 3 dimension\(s\)/);
      expect(() => einsum("ij->ik", a)).toThrow(/the output has k, which no operand has/);
      expect(() => einsum("ij->ii", a)).toThrow(/a letter appears twice in the output/);
      expect(() => einsum("i1->i", a)).toThrow(/"1" is no label/);
      expect(() => einsum("ij->i->j", a)).toThrow(/more than one arrow/);
      expect(() => einsum("ii->i", a)).toThrow(/i is 4 in operand 0, \[3, 4\], and 3 before it|equal sizes/);
      expect(() => einsum("ii->i", make(1, 4))).toThrow(/a diagonal needs equal sizes/);
    });
  });
});
