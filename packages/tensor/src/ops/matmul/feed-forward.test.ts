import { afterAll, describe, expect, it } from "vitest";
import { gradcheck } from "../../autograd/gradcheck.js";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import type { Dtype } from "../../dtype.js";
import { openDevice } from "../../node.js";
import { numel, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { numbers } from "../rows/numbers.js";
import { type Activation, feedForward, linear, linearActivation, linears } from "./index.js";
import { activations, matmulReference } from "./reference.js";

const full = await openDevice();
const limited = await openDevice({ limits: "default", features: [] });
afterAll(() => {
  full.close();
  limited.close();
});

interface Host {
  readonly shape: Shape;
  readonly data: Float64Array;
}

const host = (shape: Shape, seed: number, dtype: Dtype = "f32"): Host => ({
  shape,
  data: Float64Array.from(numbers(numel(shape), seed, dtype)),
});
const leaf = (device: Device, { shape, data }: Host, dtype: Dtype = "f32") =>
  Tensor.from(device, Float32Array.from(data), shape, { dtype, requiresGrad: true });
const map = (x: Host, f: (value: number, i: number) => number): Host => ({ ...x, data: x.data.map(f) });
const times = (a: Host, b: Host): Host => matmulReference(a, b);

function swap({ shape, data }: Host): Host {
  const [rows, columns] = shape as [number, number];
  return {
    shape: [columns, rows],
    data: data.map((_, p) => data[(p % rows) * columns + Math.floor(p / rows)]!),
  };
}

/** Sum of each column. */
function columnSums({ shape, data }: Host): Host {
  const columns = shape[1]!;
  const sums = new Float64Array(columns);
  for (const [i, value] of data.entries()) sums[i % columns]! += value;
  return { shape: [columns], data: sums };
}

const project = (x: Host, weight: Host, bias: Host) =>
  map(times(x, swap(weight)), (sum, i) => sum + bias.data[i % bias.data.length]!);

async function expectClose(got: Tensor | null, want: Host, what: string, tolerance: number) {
  expect(got?.shape, what).toEqual(want.shape);
  const values = await got!.toArray();
  for (const [i, w] of want.data.entries()) {
    if (!(Math.abs(values[i]! - w) <= tolerance * (1 + Math.abs(w))))
      expect(values[i], `${what}[${i}]`).toBe(w);
  }
}

const half = full.features.has("shader-f16");
/** Device, type of x, type of the parameters, tolerance. */
const setups: [string, Device, Dtype, Dtype, number][] = [
  ["f32", full, "f32", "f32", 2e-5],
  ["256 invocations, no features", limited, "f32", "f32", 2e-5],
  ["f16", full, "f16", "f16", 2e-2],
  ["f16 with f32 parameters", full, "f16", "f32", 2e-2],
];

for (const [name, device, type, parameterType, tolerance] of setups) {
  const missing = (type === "f16" || parameterType === "f16") && !half;
  describe.skipIf(missing)(`products with epilogues, ${name}${missing ? " (no shader-f16)" : ""}`, () => {
    for (const [rows, inner, hidden] of [
      [12, 8, 36],
      [33, 7, 10],
    ] as const) {
      const x = host([rows, inner], 1, type);
      const [w1, b1] = [host([hidden, inner], 2, parameterType), host([hidden], 3, parameterType)];
      const [w2, b2] = [host([inner, hidden], 4, parameterType), host([inner], 5, parameterType)];
      const dy = host([rows, inner], 6, type);
      const parameter = (value: Host) => leaf(device, value, parameterType);

      it.each(["gelu", "quick_gelu", "relu"] as Activation[])(
        `feedForward and its gradients, %s, ${rows} × ${inner} × ${hidden}`,
        async (activation) => {
          const { value, slope } = activations[activation];
          const before = project(x, w1, b1);
          const after = map(before, value);
          const dAfter = times(dy, w2);
          const dBefore = map(dAfter, (d, i) => d * slope(before.data[i]!));
          const tensors = [leaf(device, x, type), ...[w1, b1, w2, b2].map(parameter)] as [
            Tensor,
            Tensor,
            Tensor,
            Tensor,
            Tensor,
          ];
          const counted = device.counters.dispatches;
          const y = feedForward(...tensors, activation);
          expect(device.counters.dispatches - counted).toBe(2);
          expect(y.dtype).toBe(type);
          await expectClose(y, project(after, w2, b2), "y", tolerance);
          y.backward({ gradient: leaf(device, dy, type).detach() });
          const want = [
            times(dBefore, w1),
            times(swap(dBefore), x),
            columnSums(dBefore),
            times(swap(dy), after),
            columnSums(dy),
          ];
          for (const [i, tensor] of tensors.entries()) {
            expect(tensor.grad?.dtype).toBe(tensor.dtype);
            await expectClose(tensor.grad, want[i]!, ["x", "w1", "b1", "w2", "b2"][i]!, tolerance);
          }
        },
      );

      it(`linearActivation and its gradients, ${rows} × ${inner} × ${hidden}`, async () => {
        const before = project(x, w1, b1);
        const dh = host([rows, hidden], 7, type);
        const dBefore = map(dh, (d, i) => d * activations.gelu.slope(before.data[i]!));
        const [tx, tw, tb] = [leaf(device, x, type), parameter(w1), parameter(b1)];
        const y = linearActivation(tx, tw, tb, "gelu");
        await expectClose(y, map(before, activations.gelu.value), "y", tolerance);
        y.backward({ gradient: leaf(device, dh, type).detach() });
        await expectClose(tx.grad, times(dBefore, w1), "x", tolerance);
        await expectClose(tw.grad, times(swap(dBefore), x), "weight", tolerance);
        await expectClose(tb.grad, columnSums(dBefore), "bias", tolerance);
      });

      it(`linears and their gradients, ${rows} × ${inner} × ${hidden}`, async () => {
        const sizes = [hidden, inner, 4];
        const weights = sizes.map((size, i) => host([size, inner], 10 + i, parameterType));
        const biases = sizes.map((size, i) => host([size], 20 + i, parameterType));
        const dys = sizes.map((size, i) => host([rows, size], 30 + i, type));
        const tx = leaf(device, x, type);
        const [tw, tb] = [weights.map(parameter), biases.map(parameter)];
        const ys = linears(tx, tw, tb);
        for (const [i, y] of ys.entries()) {
          await expectClose(y, project(x, weights[i]!, biases[i]!), `y ${i}`, tolerance);
        }
        const parts = ys.map((y, i) => y.mul(leaf(device, dys[i]!, type).detach()).sum());
        parts[0]!.add(parts[1]!).add(parts[2]!).backward();
        const dx = dys
          .map((d, i) => times(d, weights[i]!))
          .reduce((a, b) => map(a, (v, i) => v + b.data[i]!));
        await expectClose(tx.grad, dx, "x", tolerance);
        for (const i of sizes.keys()) {
          await expectClose(tw[i]!.grad, times(swap(dys[i]!), x), `weight ${i}`, tolerance);
          await expectClose(tb[i]!.grad, columnSums(dys[i]!), `bias ${i}`, tolerance);
        }
      });
    }
  });
}

describe("products with epilogues", () => {
  const small = () =>
    [host([3, 4], 1), host([5, 4], 2), host([5], 3), host([4, 5], 4), host([4], 5)] as const;
  const tensors = () => small().map((x) => leaf(full, x)) as [Tensor, Tensor, Tensor, Tensor, Tensor];

  it("pass gradcheck", async () => {
    const [x, w1, b1, w2, b2] = tensors();
    await gradcheck(
      (...all) => feedForward(all[0]!, all[1]!, all[2]!, all[3]!, all[4]!, "gelu"),
      [x, w1, b1, w2, b2],
    );
    await gradcheck((a, w, b) => linearActivation(a!, w!, b!, "quick_gelu"), [x, w1, b1]);
    await gradcheck((a, w, v) => linears(a!, [w!, v!]), [x, w1, leaf(full, host([2, 4], 9))]);
  });

  it("take up the gradient that x has from elsewhere, in the same dispatch", async () => {
    const [x, w1, b1, w2, b2] = tensors();
    const gradients: (readonly number[])[] = [];
    for (const block of [
      (h: Tensor) => feedForward(h, w1, b1, w2, b2, "gelu"),
      (h: Tensor) => linear(linearActivation(h, w1, b1, "gelu"), w2, b2),
    ]) {
      x.grad = null;
      const h = x.mul(2);
      block(h).add(h).sum().backward();
      gradients.push(Array.from(await x.grad!.toArray()));
    }
    for (const [i, value] of gradients[0]!.entries()) expect(value).toBeCloseTo(gradients[1]![i]!, 4);
  });

  it("work without bias and with parameters that are frozen", async () => {
    const [x, w1, b1, w2] = tensors();
    const y = feedForward(x, w1.requiresGrad_(false), null, w2, null, "relu");
    y.sum().backward();
    expect(w1.grad).toBeNull();
    expect(w2.grad?.shape).toEqual(w2.shape);
    const [q] = linears(x.requiresGrad_(false), [w1], [b1]);
    q!.sum().backward();
    expect(b1.grad?.shape).toEqual(b1.shape);
  });

  it("keep nothing without gradients, and leave nothing behind", () => {
    const before = full.memory().liveTensors;
    scope(() => {
      const [x, w1, b1, w2, b2] = tensors();
      feedForward(x, w1, b1, w2, b2, "gelu").sum().backward();
    });
    expect(full.memory().liveTensors).toBe(before);
  });

  it("say what is wrong", () => {
    const [x, w1, b1, w2, b2] = tensors();
    expect(() => linearActivation(x, w1, b1, "gleu" as Activation)).toThrow('there is no activation "gleu"');
    expect(() => linears(x, [w1, w1], [b1])).toThrow("as many biases as weights or none; got 2 and 1");
    expect(() => feedForward(x, w1, b1, w1, b2, "gelu")).toThrow("feedForward: the last size of x");
    expect(() => feedForward(x, w1, b1, w2, null, "gelu")).toThrow("both biases or neither");
  });
});
