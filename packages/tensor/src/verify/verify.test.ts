import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { writeSafetensors } from "../io/index.js";
import { openDevice } from "../node.js";
import { compare, coordinates } from "./compare.js";
import { Attributes, type OpCase } from "./format.js";
import { verifyOps } from "./ops.js";

describe("compare", () => {
  const tolerance = { rtol: 0.1, atol: 0.01 };

  it("allows atol + rtol * |want|, no more", () => {
    expect(compare([10.9, -10.9, 0.009], [10, -10, 0], tolerance).element).toBeNull();
    const { element, got, want, error } = compare([10, 12, 0.02], [10, 10, 0], tolerance);
    expect([element, got, want, error]).toEqual([1, 12, 10, 2]);
  });

  it("takes equal infinities and NaN as equal, and nothing else beside them", () => {
    expect(
      compare([Infinity, -Infinity, Number.NaN], [Infinity, -Infinity, Number.NaN], tolerance).element,
    ).toBeNull();
    for (const [got, want] of [
      [Infinity, -Infinity],
      [Infinity, 1],
      [1, Infinity],
      [Number.NaN, 1],
      [1, Number.NaN],
      [Number.NaN, Infinity],
    ] as const) {
      expect(compare([got], [want], tolerance), `${got} for ${want}`).toMatchObject({
        element: 0,
        error: Infinity,
      });
    }
  });

  it("asks for equality with tolerances of 0", () => {
    expect(compare([1, 2], [1, 2], { rtol: 0, atol: 0 }).element).toBeNull();
    expect(compare([1, 2 + 2 ** -20], [1, 2], { rtol: 0, atol: 0 }).element).toBe(1);
  });

  it("finds coordinates", () => {
    expect(coordinates(9, [2, 5])).toEqual([1, 4]);
    expect(coordinates(0, [])).toEqual([]);
  });
});

describe("attributes", () => {
  it("are read with their type, and named if they have another", () => {
    const attrs = new Attributes({ dim: null, low: "-inf", n: 3, list: [1, 2], flag: true });
    expect([attrs.dims("dim"), attrs.numberOrNull("missing"), attrs.number("low")]).toEqual([
      null,
      null,
      -Infinity,
    ]);
    expect([attrs.pair("n"), attrs.pair("list")]).toEqual([
      [3, 3],
      [1, 2],
    ]);
    expect([attrs.flag("flag"), attrs.flag("missing")]).toEqual([true, false]);
    expect(() => attrs.number("list")).toThrow("attribute list is [1,2], expected a number");
    expect(() => attrs.text("n")).toThrow("attribute n is 3, expected a text");
  });
});

describe("verifyOps", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  const f32 = (...values: number[]) => ({
    dtype: "F32" as const,
    shape: [values.length],
    bytes: new Uint8Array(Float32Array.from(values).buffer),
  });
  const square: OpCase = {
    name: "c00",
    attrs: {},
    inputs: { x: { shape: [2], dtype: "float32" } },
    outputs: ["out"],
    grads: ["x"],
    tol: { out: { rtol: 1e-5, atol: 0 }, "grad.x": { rtol: 1e-5, atol: 0 } },
  };
  const values = {
    "c00.in.x": f32(3, -2),
    "c00.out": f32(9, 4),
    "c00.grad_out": f32(1, 10),
    "c00.grad.x": f32(6, -40),
  };
  const fixtures = (op: string, one: OpCase, tensors: Record<string, ReturnType<typeof f32>>) => ({
    index: { ops: { [op]: { file: "it.safetensors", cases: [one] } } },
    load: () => writeSafetensors(tensors),
  });

  it("passes right values, and leaves no memory in use", async () => {
    const seen: unknown[] = [];
    const [report] = await verifyOps(device, fixtures("square", square, values), {
      onCase: (event) => seen.push(event),
    });
    expect(report).toMatchObject({
      op: "square",
      cases: 1,
      passed: 1,
      failed: 0,
      largestError: 0,
      failures: [],
    });
    expect(seen).toEqual([{ op: "square", name: "c00", passed: true, done: 1, total: 1 }]);
    expect(device.memory()).toMatchObject({ liveTensors: 0, liveBuffers: 0 });
  });

  it("names the case, the result, the place and both values of a wrong one", async () => {
    const wrong = { ...values, "c00.grad.x": f32(6, -41) };
    const [report] = await verifyOps(device, fixtures("square", square, wrong));
    expect(report).toMatchObject({ passed: 0, failed: 1, largestError: 1, largestErrorAt: "c00 grad.x" });
    expect(report!.failures[0]).toMatchObject({ name: "c00", tensor: "grad.x" });
    expect(report!.failures[0]!.message).toContain("grad.x: -40 at [1], expected -41");
  });

  it("fails a wrong shape, a wrong dtype and a gradient that does not come", async () => {
    const message = async (op: string, one: OpCase, tensors: Record<string, ReturnType<typeof f32>>) =>
      (await verifyOps(device, fixtures(op, one, tensors)))[0]!.failures[0]?.message;
    expect(await message("square", square, { ...values, "c00.out": f32(9, 4, 1) })).toContain(
      "out: its shape is [2], expected [3]",
    );
    const index = { ...square, attrs: { dim: 0 }, grads: [] };
    expect(
      await message(
        "argmax",
        { ...index, attrs: { dim: 0, keepdim: true } },
        { ...values, "c00.out": f32(0) },
      ),
    ).toContain("out: its dtype is i32, the reference is F32");
    const unused = {
      ...square,
      inputs: { ...square.inputs, y: { shape: [2], dtype: "float32" } },
      grads: ["x", "y"],
    };
    expect(
      await message("square", unused, { ...values, "c00.in.y": f32(1, 1), "c00.grad.y": f32(0, 0) }),
    ).toContain("grad.y: no gradient came");
  });

  it("counts an unknown operation, one that throws and one without its tensors as failed", async () => {
    const failure = async (op: string, one: OpCase, tensors: Record<string, ReturnType<typeof f32>>) => {
      const [report] = await verifyOps(device, fixtures(op, one, tensors));
      return [report!.failed, report!.failures[0]!.message];
    };
    expect(await failure("fft", square, values)).toEqual([
      1,
      "this version of the engine does not know the operation.",
    ]);
    const [count, message] = await failure("transpose", { ...square, attrs: { dim0: 0, dim1: 5 } }, values);
    expect([count, message]).toEqual([
      1,
      "transpose: dim 5 is out of range for 1 dimensions (expected -1 to 0).",
    ]);
    expect((await failure("square", square, { "c00.in.x": f32(1, 2) }))[0]).toBe(1);
    expect(device.memory()).toMatchObject({ liveTensors: 0, liveBuffers: 0 });
  });

  it("asks operations that move data for equality", async () => {
    const one: OpCase = { ...square, attrs: { dims: [0] }, grads: [], tol: { out: { rtol: 1, atol: 1 } } };
    const [report] = await verifyOps(
      device,
      fixtures("flip", one, { "c00.in.x": f32(1, 2), "c00.out": f32(2, 1.0000001) }),
    );
    expect(report!.failures[0]!.message).toContain("within equality");
  });

  it("refuses an index of another format and an operation that it does not have", async () => {
    const load = () => new Uint8Array();
    await expect(verifyOps(device, { index: { runs: [] }, load })).rejects.toThrow(
      'the index holds no "ops"',
    );
    await expect(verifyOps(device, { index: null, load })).rejects.toThrow('the index holds no "ops"');
    await expect(verifyOps(device, { index: { ops: {} }, load }, { only: ["add"] })).rejects.toThrow(
      'there is no reference for the operation "add"',
    );
  });
});
