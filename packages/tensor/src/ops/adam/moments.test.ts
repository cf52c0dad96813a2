import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { openDevice } from "../../node.js";
import { AdamW } from "../../optim/adam.js";
import { Tensor } from "../../tensor.js";
import { arrangeMoments, isFlat, type MomentOwner } from "./moments.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const wave = (count: number, phase = 0) =>
  Tensor.from(
    device,
    Float32Array.from({ length: count }, (_, i) => Math.sin(i + phase)),
    [count],
  );
const momentsOf = ({ state }: MomentOwner) => [state.exp_avg, state.exp_avg_sq] as [Tensor, Tensor];

/** Runs `body` on a device that binds at most so many bytes. */
function withBindingLimit<T>(bytes: number, body: () => T): T {
  const { limits } = device;
  const small = new Proxy(limits, {
    get: (target, name) =>
      name === "maxStorageBufferBindingSize" ? bytes : Reflect.get(target, name, target),
  });
  const set = (value: GPUSupportedLimits) =>
    Object.defineProperty(device, "limits", { value, configurable: true });
  set(small);
  try {
    return body();
  } finally {
    set(limits);
  }
}

describe("moments", () => {
  it("share as few buffers as the limit allows; one too large for a binding keeps its own", () => {
    const owners = [100, 30, 2000, 1, 50].map((n) => ({ parameter: wave(n), state: {} }));
    withBindingLimit(2048, () => arrangeMoments(owners, "flat"));
    const flat = owners.map((owner) => isFlat(...momentsOf(owner)));
    expect(flat).toEqual([true, true, false, true, true]);
    // 2048 bytes hold the moments of 256 elements: 100 + 30 + 1, then 50 more.
    const memories = new Set(owners.flatMap((owner) => momentsOf(owner).map((t) => t.storage)));
    expect(memories.size).toBe(3);
    for (const owner of owners) for (const tensor of momentsOf(owner)) tensor.dispose();
  });

  it("move with their values when the kernel wants them elsewhere, and training goes on as before", async () => {
    const train = async (variants: (string | null)[], limit = 1 << 27) => {
      const params = [5, 64, 700, 3].map((n, k) => wave(n, k).requiresGrad_());
      const optimizer = new AdamW(params, { lr: 0.1 });
      for (const [s, variant] of variants.entries()) {
        if (variant) device.variants.set("adamw", variant);
        else device.variants.delete("adamw");
        params.forEach((p, k) => {
          p.grad = wave(p.numel, s + k);
        });
        withBindingLimit(limit, () => optimizer.step());
        optimizer.zeroGrad();
      }
      device.variants.delete("adamw");
      const values = await Promise.all(params.map(async (p) => [...(await p.toArray())]));
      optimizer.dispose();
      return values.flat();
    };
    const want = await train([null, null, null, null]);
    for (const got of [
      await train([null, "1-naive", "5-vec4", "2-vec4"]),
      await train([null, null, null, null], 4096),
    ]) {
      got.forEach((value, i) => {
        expect(value).toBeCloseTo(want[i]!, 6);
      });
    }
  });

  it("give all memory back with the optimizer", () => {
    const params = [5, 64].map((n) => wave(n).requiresGrad_());
    for (const p of params) p.grad = wave(p.numel);
    const foundInf = Tensor.zeros(device, []);
    const { liveBuffers } = device.memory();
    const optimizer = new AdamW(params);
    optimizer.step({ foundInf });
    optimizer.step();
    optimizer.dispose();
    expect(device.memory().liveBuffers).toBe(liveBuffers);
  });
});
