import { afterAll, describe, expect, it } from "vitest";
import { autocast } from "../../autograd/autocast.js";
import { gradcheck } from "../../autograd/gradcheck.js";
import { scope } from "../../autograd/modes.js";
import { capture } from "../../capture/index.js";
import type { Device } from "../../device/device.js";
import type { Dtype } from "../../dtype.js";
import { choose } from "../../kernels/ladder.js";
import { openDevice } from "../../node.js";
import { Generator } from "../../random/generator.js";
import { numel, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { dropout } from "../dropout/index.js";
import { dropoutReference } from "../dropout/reference.js";
import { linear } from "../matmul/index.js";
import { matmulLadder } from "../matmul/ladder.js";
import { problemOf } from "../matmul/product.js";
import { numbers } from "../rows/numbers.js";
import { cases, type LowRankCase, tolerance } from "./cases.js";
import { linearLowRank } from "./index.js";
import { linearLowRankGradients, linearLowRankReference } from "./reference.js";

const full = await openDevice();
const limited = await openDevice({ limits: "default", features: [] });
afterAll(() => {
  full.close();
  limited.close();
});

const STATE = { seed: 3, offset: 20 };
const names = ["x", "weight", "bias", "a", "b"] as const;
type Name = (typeof names)[number];

function shapesOf({ lead, inner, out, rank }: LowRankCase): Record<Name, Shape> {
  return { x: [...lead, inner], weight: [out, inner], bias: [out], a: [rank, inner], b: [out, rank] };
}

/** Inputs as plain numbers, and what becomes of them by the reference for the gradient `dy`. */
function hostOf(test: LowRankCase, types: Record<Name, Dtype>) {
  const shapes = shapesOf(test);
  const data = Object.fromEntries(
    names.map((name, i) => [name, numbers(numel(shapes[name]), i + 1, types[name])]),
  ) as Record<Name, Float32Array>;
  const { inner, out, rank, scaling, dropoutP } = test;
  const rows = numel(test.lead);
  const ones = new Float32Array(rows * inner).fill(1);
  const mask = dropoutP > 0 ? dropoutReference(ones, dropoutP, STATE) : null;
  const bias = test.bias ? data.bias : null;
  const call = { ...data, bias, rows, inner, out, rank, scaling, mask };
  const dy = numbers(rows * out, 9, types.x);
  return { shapes, data, dy, y: linearLowRankReference(call), gradients: linearLowRankGradients(call, dy) };
}

function close(got: ArrayLike<number>, want: ArrayLike<number>, what: string, allowed: number) {
  expect(got.length, what).toBe(want.length);
  for (let i = 0; i < want.length; i++) {
    if (!(Math.abs(got[i]! - want[i]!) <= allowed * (1 + Math.abs(want[i]!))))
      expect(got[i], `${what}[${i}]`).toBe(want[i]);
  }
}

const options = ({ scaling, dropoutP }: LowRankCase) => ({
  scaling,
  dropoutP,
  generator: new Generator().setState(STATE),
});

const half = full.features.has("shader-f16");
const setups: [string, Device, Dtype, Dtype, number][] = [
  ["f32", full, "f32", "f32", tolerance.f32],
  ["256 invocations, no features", limited, "f32", "f32", tolerance.f32],
  ["f16 with f32 parameters", full, "f16", "f32", tolerance.f16],
];

for (const [title, device, type, parameterType, allowed] of setups) {
  const missing = type === "f16" && !half;
  // Every program takes a second to compile: of f16 only what differs.
  const own = type === "f16" ? cases.filter(({ rank }) => rank === 8 || rank === 16) : cases;
  describe.skipIf(missing)(`linearLowRank, ${title}${missing ? " (no shader-f16)" : ""}`, () => {
    const types = { x: type, weight: parameterType, bias: parameterType, a: parameterType, b: parameterType };

    it.each(own)("equals the reference, with its gradients: $note", async (test) => {
      const host = hostOf(test, types);
      const leaf = (name: Name) =>
        Tensor.from(device, host.data[name], host.shapes[name], { dtype: types[name], requiresGrad: true });
      const tensors = Object.fromEntries(names.map((name) => [name, leaf(name)])) as Record<Name, Tensor>;
      const { x, weight, bias, a, b } = tensors;
      const y = linearLowRank(x, weight, test.bias ? bias : null, a, b, options(test));
      expect(y.dtype).toBe(type);
      expect(y.shape).toEqual([...test.lead, test.out]);
      close(await y.toArray(), host.y, "y", allowed);
      y.backward({ gradient: Tensor.from(device, host.dy, y.shape, { dtype: type }) });
      for (const name of names) {
        const { grad } = tensors[name];
        if (name === "bias" && !test.bias) continue;
        expect(grad?.dtype).toBe(types[name]);
        close(await grad!.toArray(), host.gradients[name], `d${name}`, allowed);
      }
    });
  });
}

/** Inputs of the first case with gradients where `trained` says so. */
function inputs(device: Device, trained: readonly Name[], test: LowRankCase = cases[0]!) {
  const shapes = shapesOf(test);
  return names.map((name, i) =>
    Tensor.from(device, numbers(numel(shapes[name]), i + 1), shapes[name], {
      requiresGrad: trained.includes(name),
    }),
  ) as [Tensor, Tensor, Tensor, Tensor, Tensor];
}

const kernelsOf = (device: Device, body: () => void) =>
  device.trace(() => scope(body)).map(({ kernel }) => kernel.name);

describe("linearLowRank", () => {
  it("passes gradcheck", async () => {
    const test = { ...cases[6]!, lead: [3] };
    const [x, weight, bias, a, b] = inputs(full, names, test);
    await gradcheck(
      (...all) => linearLowRank(all[0]!, all[1]!, all[2]!, all[3]!, all[4]!, { scaling: 2 }),
      [x, weight, bias, a, b],
    );
  });

  it("equals the composed form, with the same mask", async () => {
    const [x, weight, bias, a, b] = inputs(full, []);
    const generator = () => new Generator().setState(STATE);
    using fused = linearLowRank(x, weight, bias, a, b, { scaling: 2, dropoutP: 0.3, generator: generator() });
    using composed = scope(() => {
      const narrow = linear(dropout(x, 0.3, true, generator()), a).mul(2);
      return linear(x, weight, bias).add(linear(narrow, b));
    });
    close(await fused.toArray(), await composed.toArray(), "y", tolerance.f32);
  });

  it("is two dispatches, and four back; nothing is computed for what is frozen", () => {
    const made = (trained: readonly Name[], dropoutP = 0) => {
      const [x, weight, bias, a, b] = inputs(full, trained);
      let y!: Tensor;
      const run = () => {
        y = linearLowRank(x, weight, bias, a, b, { scaling: 2, dropoutP }).keep();
      };
      const forward = kernelsOf(full, run).length;
      const gradient = Tensor.full(full, y.shape, 1);
      const backward = kernelsOf(full, () => y.backward({ gradient })).length;
      y.dispose();
      return [forward, backward];
    };
    // One more for a product whose kernel takes no second pair, each way.
    const [x, weight] = inputs(full, []);
    const { step } = choose(
      full,
      matmulLadder,
      problemOf(x.reshape([36, 36]), weight.transpose(0, 1), "f32"),
    );
    const more = step.kernels.second ? 0 : 1;
    expect(made(["x", "a", "b"])).toEqual([2 + more, 4 + more]);
    expect(made(["x", "a", "b"], 0.1)).toEqual([3 + more, 5 + 3 * more]);
    // The lowest adapter of a model: nothing below it wants a gradient.
    expect(made(["a", "b"])).toEqual([2 + more, 3]);
    expect(made(["b"])).toEqual([2 + more, 1]);
    expect(made(["x"])).toEqual([2 + more, 2 + more]);
    expect(made(["x", "weight", "bias", "a", "b"])).toEqual([2 + more, 5 + more]);
  });

  it("adds its gradient to what x got from others in the same dispatch", async () => {
    const [x, weight, bias, a, b] = inputs(full, ["x"]);
    const alone = async (twice: boolean) => {
      const kernels = kernelsOf(full, () => {
        const h = x.mul(1);
        const y = linearLowRank(h, weight, bias, a, b).sum();
        (twice ? y.add(linearLowRank(h, weight, bias, a, b).sum()) : y).backward();
      });
      const values = await x.grad!.toArray();
      x.grad = null;
      return { kernels, values };
    };
    const [one, two] = [await alone(false), await alone(true)];
    close(
      two.values,
      one.values.map((value) => 2 * value),
      "dx",
      tolerance.f32,
    );
    // The sum of the two losses is one; gradients of h need none.
    const sums = (list: readonly string[]) => list.filter((kernel) => kernel.startsWith("binary")).length;
    expect(sums(two.kernels) - sums(one.kernels)).toBe(1);
  });

  it("draws new numbers in every replay of a captured step, the same forward and back", async () => {
    const test = { ...cases[1]!, lead: [8] };
    const [x, weight, bias, a, b] = inputs(full, ["x", "a", "b"], test);
    const generator = new Generator(7);
    const body = () => {
      for (const leaf of [x, a, b]) leaf.grad = null;
      const y = linearLowRank(x, weight, bias, a, b, { scaling: 2, dropoutP: 0.5, generator });
      y.mul(y).sum().backward();
      return y.detach();
    };
    const run = async (step: () => Tensor, times: number) => {
      generator.setState(STATE);
      const seen: number[][] = [];
      for (let i = 0; i < times; i++) {
        const y = step();
        const found = [y, x.grad!, a.grad!, b.grad!].map((tensor) => tensor.toArray());
        seen.push((await Promise.all(found)).flatMap((values) => [...values]));
      }
      return seen;
    };
    const eager = await run(() => scope(body), 4);
    const replayed = await run(capture(body, { device: full }), 4);
    expect(replayed).toEqual(eager);
    expect(eager[2]).not.toEqual(eager[1]);
  });

  it("keeps neither the input of a frozen part nor the dropped input", () => {
    const held = (trained: readonly Name[]) => {
      const [x, weight, bias, a, b] = inputs(full, trained);
      const before = full.memory().liveBytes;
      let y!: Tensor;
      scope(() => {
        y = linearLowRank(x.mul(1), weight, bias, a, b, { dropoutP: 0.5 }).keep();
      });
      const bytes = full.memory().liveBytes - before;
      y.dispose();
      return bytes;
    };
    const [x, y] = [36 * 36 * 4, 36 * 20 * 4];
    expect(held(["b"])).toBeLessThan(y + x);
    expect(held(["a", "b"])).toBeLessThan(y + 2 * x);
  });

  it.skipIf(!half)("computes in f16 inside autocast", () => {
    const [x, weight, bias, a, b] = inputs(full, ["a", "b"]);
    scope(() => {
      const y = autocast("f16", () => linearLowRank(x, weight, bias, a, b));
      expect(y.dtype).toBe("f16");
      y.sum().backward();
    });
    expect(a.grad?.dtype).toBe("f32");
  });

  it("names the sizes that differ", () => {
    const [x, weight, bias, a, b] = inputs(full, []);
    expect(() => linearLowRank(x, weight, bias, b, a)).toThrow(
      "linearLowRank: a [20, 8] must be [r, 36] and b [8, 36] [20, r], with one r, beside a weight [20, 36].",
    );
    expect(() => linearLowRank(x, weight, bias, a, b, { dropoutP: 2 })).toThrow(/linearLowRank: p is 2/);
  });
});
