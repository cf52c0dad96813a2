import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import { defineOp } from "./define-op.js";
import { enableGrad, isGradEnabled, noGrad, scope } from "./modes.js";

describe("autograd", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const leaf = (...values: number[]) =>
    Tensor.from(device, Float32Array.from(values), [values.length], { requiresGrad: true });
  const grad = async (x: Tensor) => Array.from((await x.grad?.toArray()) ?? []);

  describe("gradients", () => {
    it("of a tensor with many uses add up", async () => {
      const x = leaf(1, 2);
      const parts = Array.from({ length: 40 }, (_, i) => x.mul(i));
      const y = parts.reduce((sum, part) => sum.add(part), x);
      y.sum().backward();
      // 1 for x itself and 0 + 1 + … + 39.
      expect(await grad(x)).toEqual([781, 781]);
    });

    it("pass through a diamond once for each way", async () => {
      const x = leaf(3);
      const a = x.mul(2);
      a.mul(a).add(a.mul(5)).sum().backward();
      // d(4x² + 10x) = 8x + 10
      expect(await grad(x)).toEqual([34]);
    });

    it("of one tensor on both sides of an operation add up", async () => {
      const x = leaf(3, -1);
      x.mul(x).sum().backward();
      expect(await grad(x)).toEqual([6, -2]);
      const y = leaf(3, -1);
      y.add(y).sum().backward();
      expect(await grad(y)).toEqual([2, 2]);
      const z = leaf(3, -1);
      z.sub(z).sum().backward();
      expect(await grad(z)).toEqual([0, 0]);
    });

    it("accumulate over backwards, and not into each other's memory", async () => {
      const x = leaf(1, 2);
      x.mul(3).sum().backward();
      const first = x.grad!.clone();
      x.mul(4).sum().backward();
      expect(await grad(x)).toEqual([7, 7]);
      expect(Array.from(await first.toArray())).toEqual([3, 3]);
      const [a, b] = [leaf(1), leaf(1)];
      a.add(b).backward();
      a.grad!.fill_(9);
      expect(await grad(b)).toEqual([1]);
    });

    it("are those of backward's argument", async () => {
      const x = leaf(1, 2, 3);
      const gradient = Tensor.from(device, Float32Array.of(1, 10, 100), [3]);
      x.mul(2).backward({ gradient });
      expect(await grad(x)).toEqual([2, 20, 200]);
      x.backward({ gradient });
      expect(await grad(x)).toEqual([3, 30, 300]);
    });

    it("come back in the shape of a broadcast operand", async () => {
      const row = leaf(1, 2, 3);
      const scalar = Tensor.full(device, [], 2, { requiresGrad: true });
      const matrix = Tensor.full(device, [4, 3], 1);
      matrix.mul(row).mul(scalar).sum().backward();
      expect(row.grad!.shape).toEqual([3]);
      expect(scalar.grad!.shape).toEqual([]);
      expect(await grad(row)).toEqual([8, 8, 8]);
      expect(await grad(scalar)).toEqual([24]);
    });

    it("skip outputs that nothing used", async () => {
      const x = leaf(1, 2, 3, 4);
      const [, second] = x.split(2) as [Tensor, Tensor];
      second.mul(5).sum().backward();
      expect(await grad(x)).toEqual([0, 0, 5, 5]);
    });

    it("go through long chains without recursion", async () => {
      const x = leaf(1);
      let y: Tensor = x;
      for (let i = 0; i < 5000; i++) y = y.add(1);
      y.backward();
      expect(await grad(x)).toEqual([1]);
      y.dispose();
    });

    it("of views are written where the view reads", async () => {
      const x = leaf(0, 1, 2, 3, 4, 5);
      const view = x
        .reshape([2, 3])
        .transpose(0, 1)
        .slice([[1, 3]]);
      const gradient = Tensor.from(device, Float32Array.of(1, 2, 3, 4), [2, 2]);
      view.backward({ gradient });
      expect(await grad(x)).toEqual([0, 1, 3, 0, 2, 4]);
    });
  });

  describe("recording", () => {
    it("is off in noGrad, on again in enableGrad, and restored after an error", () => {
      const x = leaf(1);
      expect(noGrad(() => x.mul(2).requiresGrad)).toBe(false);
      expect(noGrad(() => enableGrad(() => x.mul(2).requiresGrad))).toBe(true);
      expect(() =>
        noGrad(() => {
          throw new Error("inside");
        }),
      ).toThrow("inside");
      expect(isGradEnabled()).toBe(true);
    });

    it("refuses asynchronous bodies, whose mode would leak", () => {
      expect(() => noGrad(async () => {})).toThrow("synchronous");
      expect(() => scope(async () => {})).toThrow("synchronous");
      expect(isGradEnabled()).toBe(true);
    });

    it("stops at detach", async () => {
      const x = leaf(3);
      x.mul(x.detach()).sum().backward();
      expect(await grad(x)).toEqual([3]);
      expect(x.mul(2).detach().requiresGrad).toBe(false);
    });

    it("does not happen for tensors without requiresGrad, nor for integers", () => {
      expect(Tensor.zeros(device, [2]).mul(2).isLeaf).toBe(true);
      expect(leaf(1, 2).to("i32").requiresGrad).toBe(false);
      expect(() => Tensor.zeros(device, [2], "i32").requiresGrad_()).toThrow(
        "only f32 and f16 tensors have gradients, this one is i32",
      );
      expect(() => leaf(1).mul(2).requiresGrad_()).toThrow("only leaf tensors");
    });
  });

  describe("hooks", () => {
    it("of a leaf see the gradient and may replace it", async () => {
      const x = leaf(1, 2);
      const seen: Tensor[] = [];
      const remove = x.registerHook((g) => {
        seen.push(g.clone().keep());
        return g.mul(10);
      });
      x.mul(3).sum().backward();
      expect(Array.from(await seen[0]!.toArray())).toEqual([3, 3]);
      expect(await grad(x)).toEqual([30, 30]);
      remove();
      x.mul(3).sum().backward();
      expect(await grad(x)).toEqual([33, 33]);
      expect(seen).toHaveLength(1);
    });

    it("of an inner tensor see the sum over its uses and change what goes on", async () => {
      const x = leaf(1, 2);
      const y = x.mul(2);
      const seen: Tensor[] = [];
      y.registerHook((g) => {
        seen.push(g.clone().keep());
        return g.neg();
      });
      y.mul(3).add(y).sum().backward();
      expect(seen).toHaveLength(1);
      expect(Array.from(await seen[0]!.toArray())).toEqual([4, 4]);
      expect(await grad(x)).toEqual([-8, -8]);
    });

    it("need a gradient to hang on", () => {
      expect(() => Tensor.zeros(device, [1]).registerHook(() => undefined)).toThrow(
        "this tensor has no gradient",
      );
    });
  });

  describe("misuse", () => {
    it("a second backward says how to allow it", async () => {
      const x = leaf(2);
      const y = x.square();
      y.backward();
      expect(() => y.backward()).toThrow(/square: backward ran through this graph before.*retainGraph: true/);
      const z = x.square();
      z.backward({ retainGraph: true });
      z.backward();
      expect(await grad(x)).toEqual([12]);
    });

    it("a saved tensor that was changed in place is noticed", () => {
      const [x, w] = [leaf(2), leaf(3)];
      const y = x.mul(w);
      w.fill_(5);
      expect(() => y.backward()).toThrow(
        "mul: a tensor of shape [1] needed for its gradient was changed in place",
      );
      const z = x.mul(w);
      w.copy_(Float32Array.of(7));
      expect(() => z.backward()).toThrow("changed in place");
      // A sum saves nothing, so the change does no harm.
      const s = x.add(w);
      w.fill_(1);
      expect(() => s.backward()).not.toThrow();
    });

    it("backward without a tape, or without a gradient for many elements, is refused", () => {
      expect(() => Tensor.zeros(device, []).backward()).toThrow("nothing recorded leads to this tensor");
      expect(() => leaf(1, 2).mul(2).backward()).toThrow(
        "a tensor of shape [2] needs a gradient of that shape",
      );
      expect(() =>
        leaf(1, 2)
          .mul(2)
          .backward({ gradient: Tensor.zeros(device, [3]) }),
      ).toThrow("gradient [3] for a tensor [2]");
    });

    it("a disposed tensor names its shape", () => {
      const x = Tensor.zeros(device, [2, 3]);
      x.dispose();
      expect(() => x.add(1)).toThrow("add: a tensor of shape [2, 3] was disposed");
    });
  });

  describe("defineOp", () => {
    it("gives an operation of one's own its gradient, for the inputs that want one", async () => {
      const wanted: boolean[][] = [];
      const scaleBy = defineOp<{ factor: number }>({
        name: "scale_by",
        forward: (_ctx, [x, bias], { factor }) => x!.mul(factor).add(bias!),
        backward: (ctx, [dy]) => {
          wanted.push([...ctx.needsInputGrad]);
          return [dy!.mul(ctx.attributes.factor), null];
        },
      });
      const x = leaf(1, 2);
      const y = scaleBy([x, Tensor.full(device, [2], 1)], { factor: 3 });
      expect(Array.from(await y.toArray())).toEqual([4, 7]);
      y.sum().backward();
      expect(await grad(x)).toEqual([3, 3]);
      expect(wanted).toEqual([[true, false]]);
    });

    it("without a backward says so when one is asked for", () => {
      const opaque = defineOp<undefined>({ name: "opaque", forward: (_ctx, [x]) => x!.mul(2) });
      const y = opaque([leaf(1)], undefined);
      expect(() => y.backward()).toThrow("opaque: no gradient is defined for this operation");
    });

    it("names the operation whose gradient has the wrong shape", () => {
      const wrong = defineOp<undefined>({
        name: "wrong_shape",
        forward: (_ctx, [x]) => x!.mul(2),
        backward: (ctx) => [Tensor.zeros(ctx.device, [5])],
      });
      expect(() => wrong([leaf(1)], undefined).backward()).toThrow(
        "gradient of shape [5] for a tensor of shape [1]",
      );
    });

    it("may return its input: the result is a handle of its own", async () => {
      const same = defineOp<undefined>({
        name: "same",
        forward: (_ctx, [x]) => x!,
        backward: (_ctx, [dy]) => [dy!],
      });
      const x = leaf(4);
      const y = same([x], undefined);
      expect(y).not.toBe(x);
      y.mul(2).backward();
      expect(await grad(x)).toEqual([2]);
      y.dispose();
      expect(x.isDisposed).toBe(false);
    });
  });

  describe("memory", () => {
    const state = () => {
      const { liveTensors, liveBuffers } = device.memory();
      return { liveTensors, liveBuffers };
    };

    it("of a training loop does not grow, and makes no buffer once warm", () => {
      const w = Tensor.full(device, [8, 8], 0.1, { requiresGrad: true });
      const x = Tensor.full(device, [4, 8], 1);
      const step = () =>
        scope(() => {
          const h = x.add(w.sum(0)).tanh();
          const [left, right] = h.split(4, 1) as [Tensor, Tensor];
          left.mul(right).square().mean().backward();
          noGrad(() => w.copy_(w.sub(w.grad!.mul(0.1))));
          w.grad!.dispose();
          w.grad = null;
        });
      for (let i = 0; i < 3; i++) step();
      const before = { ...state(), made: device.memory().created };
      for (let i = 0; i < 100; i++) step();
      expect({ ...state(), made: device.memory().created }).toEqual(before);
      w.dispose();
      x.dispose();
    });

    it("that the tape holds is free after a forward without backward", () => {
      const x = leaf(1, 2, 3);
      const before = state();
      scope(() => {
        x.mul(2).exp().mul(x).sum();
      });
      expect(state()).toEqual(before);
      // Outside of scopes, when the last handle goes: the tape holds what it saved until then.
      const a = x.exp();
      const b = a.mul(x);
      a.dispose();
      expect(state().liveTensors).toBeGreaterThan(before.liveTensors + 1);
      b.dispose();
      expect(state()).toEqual(before);
      x.dispose();
    });

    it("goes back after backward although the result is still held", () => {
      const x = leaf(1, 2, 3);
      const before = state();
      const y = scope(() => {
        const loss = x.exp().mul(x).sum();
        loss.backward();
        return loss;
      });
      // The result, and x's gradient.
      expect(state().liveTensors).toBe(before.liveTensors + 2);
      y.dispose();
      x.dispose();
    });

    it("made in a scope lives on only if it is returned, in arrays and objects too", () => {
      const before = state();
      const kept = scope(() => {
        const [a, b, c] = [Tensor.zeros(device, [1]), Tensor.zeros(device, [1]), Tensor.zeros(device, [1])];
        Tensor.zeros(device, [100]);
        return { a, list: [b], map: new Map([["c", c]]) };
      });
      expect(state().liveTensors).toBe(before.liveTensors + 3);
      for (const t of [kept.a, kept.list[0]!, kept.map.get("c")!]) t.dispose();
      expect(state()).toEqual(before);
    });

    it("made in a scope that fails goes back", () => {
      const before = state();
      expect(() =>
        scope(() => {
          Tensor.zeros(device, [100]);
          throw new Error("inside");
        }),
      ).toThrow("inside");
      expect(state()).toEqual(before);
    });

    it("kept explicitly outlives its scope", () => {
      const x = scope(() => {
        const made = Tensor.zeros(device, [1]).keep();
        return () => made;
      })();
      expect(x.isDisposed).toBe(false);
      x.dispose();
    });
  });
});
