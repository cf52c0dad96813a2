import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../autograd/modes.js";
import { DeviceError, KernelError, LimitError } from "../errors.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import type { Device } from "./device.js";
import { assemble, gridFor, storageAccess } from "./kernel.js";
import { sizeClass } from "./pool.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const row = (...values: number[]) => Tensor.from(device, Float32Array.from(values), [values.length]);

describe("opening", () => {
  it("takes what the adapter offers, or only what WebGPU guarantees", async () => {
    using limited = await openDevice({ limits: "default", features: [] });
    expect(limited.limits.maxComputeInvocationsPerWorkgroup).toBe(256);
    expect(limited.limits.maxStorageBuffersPerShaderStage).toBe(8);
    expect([...limited.features].filter((name) => name !== "core-features-and-limits")).toEqual([]);
    expect(limited.subgroupSize).toBe(0);
    expect(device.limits.maxStorageBuffersPerShaderStage).toBeGreaterThanOrEqual(8);
  });

  it("says which feature an adapter lacks", async () => {
    await expect(openDevice({ features: ["texture-compression-astc"] })).rejects.toThrow(
      /lacks texture-compression-astc/,
    );
  });

  it("says where to look when there is no adapter", async () => {
    const none = { requestAdapter: async () => null } as unknown as GPU;
    const { Device: Class } = await import("./device.js");
    await expect(Class.open(none)).rejects.toThrow("wgrad doctor");
  });

  it("refuses work once closed", async () => {
    const closed = await openDevice();
    const x = Tensor.from(closed, Float32Array.of(1), [1]);
    closed.close();
    closed.close();
    expect(() => x.add(1)).toThrow(DeviceError);
    await expect(x.toArray()).rejects.toThrow("the device is closed");
  });
});

describe("a device that is lost", () => {
  it("says so at the next read, and what to do", async () => {
    const lost = await openDevice();
    const x = Tensor.from(lost, Float32Array.of(1), [1]);
    lost.gpu.destroy();
    await lost.gpu.lost;
    const failure = await x.toArray().catch((error: unknown) => error);
    expect(failure).toMatchObject({ code: "E_DEVICE_LOST" });
    expect((failure as Error).message).toContain("open a new device and load the last checkpoint");
    lost.close();
  });
});

describe("a kernel that does not compile", () => {
  const source = [
    "@group(0) @binding(1) var<storage, read_write> y: array<T>;",
    "@compute @workgroup_size(1) fn main() {",
    "  y[0] = undefined_name;",
    "}",
  ].join("\n");
  const runIt = async (own: Device): Promise<unknown> => {
    const x = Tensor.from(own, Float32Array.of(1), [1]);
    own.run(
      { name: "mine/1-first", source },
      { buffers: [x.storage.buffer], grid: [1, 1, 1], specialisation: { types: { T: "f32" } } },
    );
    return await own.synchronize().catch((error: unknown) => error);
  };

  it("is named with its own line, not that of the generated head", async () => {
    using own = await openDevice();
    const failure = await runIt(own);
    expect(failure).toBeInstanceOf(KernelError);
    expect((failure as Error).message).toMatch(
      /kernel mine\/1-first .*T:f32.*\n {2}line 3:\d+: .*undefined_name/,
    );
  });

  it("is named even where the compiler's report comes after the error of running it", async () => {
    using own = await openDevice();
    const createShaderModule = own.gpu.createShaderModule.bind(own.gpu);
    own.gpu.createShaderModule = (descriptor) => {
      const module = createShaderModule(descriptor);
      const report = module.getCompilationInfo.bind(module);
      module.getCompilationInfo = async () => {
        await new Promise((resolve) => setTimeout(resolve, 50));
        return report();
      };
      return module;
    };
    expect(await runIt(own)).toBeInstanceOf(KernelError);
  });

  it("says which feature it needs", async () => {
    using limited = await openDevice({ limits: "default", features: [] });
    const x = Tensor.from(limited, Float32Array.of(1), [1]);
    const kernel = { name: "needs", source: "", requires: ["subgroups"] } as const;
    expect(() => limited.run(kernel, { buffers: [x.storage.buffer], grid: [1, 1, 1] })).toThrow(
      "needs the feature subgroups",
    );
  });
});

describe("memory", () => {
  it("wastes at most an eighth over 2 KiB", () => {
    for (const bytes of [2049, 5000, 100_001, 46_881_792]) {
      expect(sizeClass(bytes)).toBeGreaterThanOrEqual(bytes);
      expect(sizeClass(bytes)).toBeLessThanOrEqual(bytes * 1.125 + 256);
    }
    expect(sizeClass(1)).toBe(256);
  });

  it("refuses a tensor over one binding, naming both sizes", () => {
    const limit = device.limits.maxStorageBufferBindingSize;
    expect(() => Tensor.empty(device, [limit / 4 + 1])).toThrow(LimitError);
    expect(() => Tensor.empty(device, [limit / 4 + 1])).toThrow(
      `over this adapter's limit of ${limit} bytes`,
    );
  });

  it("gives a host write no buffer that a recorded command still reads", async () => {
    const first = row(1, 2, 3, 4);
    const doubled = first.mul(2); // recorded, not submitted
    first.dispose(); // its buffer is free now, and read by the command above
    const second = row(9, 9, 9, 9);
    expect(second.storage.buffer.id).not.toBe(first.storage.buffer.id);
    expect([...(await doubled.toArray())]).toEqual([2, 4, 6, 8]);
  });

  it("uses a freed buffer again", () => {
    const { created } = device.memory();
    const ids = new Set<number>();
    for (let i = 0; i < 20; i++) scope(() => void ids.add(Tensor.empty(device, [8]).storage.buffer.id));
    expect(ids.size).toBe(1);
    expect(device.memory().created - created).toBeLessThanOrEqual(1);
  });

  it("emptyCache keeps what recorded commands need", async () => {
    const x = row(1, 2);
    const y = x.add(1);
    x.dispose();
    device.emptyCache();
    expect([...(await y.toArray())]).toEqual([2, 3]);
  });
});

describe("submission", () => {
  it("waits for nothing until something is read, then submits once", async () => {
    const before = device.snapshot();
    let y = row(1, 2, 3);
    for (let i = 0; i < 50; i++) y = y.add(1);
    expect(device.snapshot().submissions).toBe(before.submissions);
    expect([...(await y.toArray())]).toEqual([51, 52, 53]);
    expect(device.snapshot().submissions).toBe(before.submissions + 1);
    expect(device.snapshot().dispatches).toBe(before.dispatches + 50);
  });

  it("goes on in a second submission when the parameters of one are used up", async () => {
    const before = device.snapshot().submissions;
    const y = scope(() => {
      let sum = row(0);
      for (let i = 0; i < 5000; i++) {
        const next = sum.add(1);
        sum.dispose();
        sum = next;
      }
      return sum;
    });
    expect(await y.item()).toBe(5000);
    expect(device.snapshot().submissions).toBe(before + 2);
  });
});

describe("kernel text", () => {
  it("gets features, types, constants and functions before it, and counts those lines", () => {
    const kernel = { name: "k", source: "body", requires: ["subgroups"], snippets: ["// a\n// b"] } as const;
    const made = assemble(kernel, {
      types: { T: "f16", B: "bool" },
      constants: { N: 4, ON: true },
      text: "fn f() {}",
    });
    expect(made.code.split("\n")).toEqual([
      "enable f16;",
      "enable subgroups;",
      "alias T = f16;",
      "alias B = u32;",
      "const N: u32 = 4u;",
      "const ON: bool = true;",
      "fn f() {}",
      "// a",
      "// b",
      "body",
    ]);
    expect(made.offset).toBe(9);
  });

  it("tells inputs from outputs", () => {
    const code =
      "@group(0) @binding(2) var<storage, read_write> y: array<f32>;\n@group(0) @binding(1) var<storage> x: array<f32>;";
    expect(storageAccess(code)).toEqual(["read", "read_write"]);
  });

  it("spills large grids into y", () => {
    expect(gridFor(100, 64)).toEqual([2, 1, 1]);
    const [x, y] = gridFor(64 * 70_000, 64);
    expect(x).toBeLessThanOrEqual(65_535);
    expect(x * y).toBeGreaterThanOrEqual(70_000);
  });
});
