import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { openDevice } from "../node.js";
import { Tensor } from "../tensor.js";
import { randomBlock } from "./generator.js";
import {
  bernoulli,
  defaultGenerator,
  Generator,
  manualSeed,
  philoxSnippet,
  rand,
  randint,
  randn,
  randperm,
} from "./index.js";
import { belowOf, philox4x32, uniformOf } from "./philox.js";

/** Known answers of Random123, the authors' own library (`tests/kat_vectors`, philox4x32 10). */
const KNOWN: { counter: [number, number, number, number]; key: [number, number]; words: number[] }[] = [
  { counter: [0, 0, 0, 0], key: [0, 0], words: [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8] },
  {
    counter: [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    key: [0xffffffff, 0xffffffff],
    words: [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  },
  {
    counter: [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    key: [0xa4093822, 0x299f31d0],
    words: [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  },
];

/** What the GPU should draw: word i % 4 of block i / 4. */
function hostWords(seed: number | bigint, offset: number, count: number): number[] {
  const range = new Generator(seed)
    .setState({ ...new Generator(seed).getState(), offset })
    .next(Math.ceil(count / 4));
  return Array.from({ length: count }, (_, i) => randomBlock(range, Math.floor(i / 4))[i % 4]!);
}

const mean = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0) / values.length;
const deviation = (values: ArrayLike<number>) => {
  const m = mean(values);
  return Math.sqrt(mean(Array.from(values, (v) => (v - m) ** 2)));
};

describe("philox on the host", () => {
  it("gives the published words", () => {
    for (const { counter, key, words } of KNOWN) expect(philox4x32(counter, key)).toEqual(words);
  });

  it("multiplies to 64 bits as bigints do", () => {
    let seed = 1;
    for (let i = 0; i < 200; i++) {
      seed = Math.imul(seed, 1664525) + 1013904223;
      const a = seed >>> 0;
      const b = Math.imul(seed, 0x9e3779b1) >>> 0;
      expect(belowOf(a, b)).toBe(Number((BigInt(a) * BigInt(b)) >> 32n));
    }
  });
});

describe("Generator", () => {
  it("reserves ranges that do not overlap and carries into the high word", () => {
    const generator = new Generator(7).setState({ seed: 7, offset: 0xfffffffe });
    expect(generator.next(3).words).toEqual([7, 0, 0xfffffffe, 0]);
    expect(generator.next(1).words).toEqual([7, 0, 1, 1]);
  });

  it("takes seeds of 64 bits and saves them as plain JSON", () => {
    const big = new Generator(0xfedcba9876543210n);
    expect(big.next(1).words.slice(0, 2)).toEqual([0x76543210, 0xfedcba98]);
    const copy = new Generator().setState(JSON.parse(JSON.stringify(big.getState())));
    expect(copy.next(5).words).toEqual(big.next(5).words);
    expect(new Generator(-1).initialSeed).toBe(0xffffffffffffffffn);
    expect(new Generator(42).getState()).toEqual({ seed: 42, offset: 0 });
  });

  it("refuses what is no seed or state", () => {
    expect(() => new Generator(1.5)).toThrow(/1.5 is not a whole number/);
    expect(() => new Generator(1n << 64n)).toThrow(/64 bits/);
    expect(() => new Generator().setState({ seed: 1, offset: -1 })).toThrow(/offset -1/);
    expect(() => new Generator().setState({ seed: "x", offset: 0 })).toThrow(/"x"/);
  });

  it("permutes on the host: every number once, repeatable, another order for another seed", () => {
    const order = randperm(1000, new Generator(3));
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(randperm(1000, new Generator(3))).toEqual(order);
    expect(randperm(1000, new Generator(4))).not.toEqual(order);
    expect(randperm(0)).toEqual(new Int32Array(0));
    const firsts = new Array<number>(4).fill(0);
    const generator = new Generator(11);
    for (let i = 0; i < 4000; i++) firsts[randperm(4, generator)[0]!]!++;
    for (const count of firsts) expect(Math.abs(count - 1000)).toBeLessThan(120);
  });
});

describe.each(["adapter", "default"] as const)("random tensors, limits of the %s", (limits) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(limits === "default" ? { limits, features: [] } : { limits });
  });
  afterAll(() => device.close());

  it("gives the published words in a kernel that uses the snippet", async () => {
    const source = `
      struct Params { counter: vec4<u32>, key: vec2<u32> }
      @group(0) @binding(0) var<uniform> params: Params;
      @group(0) @binding(1) var<storage, read_write> y: array<vec4<u32>>;
      @compute @workgroup_size(1) fn main() { y[0] = philox4x32(params.counter, params.key); }`;
    const kernel = { name: "test/philox", source, snippets: [philoxSnippet] };
    for (const { counter, key, words } of KNOWN) {
      using y = Tensor.empty(device, [4], "u32");
      device.run(kernel, { buffers: [y.storage.buffer], params: [...counter, ...key], grid: [1, 1, 1] });
      expect(Array.from(await y.toArray())).toEqual(words);
    }
  });

  it("draws uniforms that equal the host's bit for bit, over a carry of the counter too", async () => {
    for (const [seed, offset] of [
      [0, 0],
      [123456789, 17],
      [0xfedcba9876543210n, 0xfffffff0],
    ] as const) {
      const generator = new Generator(seed);
      generator.setState({ ...generator.getState(), offset });
      using x = rand(device, [3, 67], { generator });
      expect(Array.from(await x.toArray())).toEqual(hostWords(seed, offset, 201).map(uniformOf));
      expect(generator.getState().offset).toBe(offset + 51);
    }
  });

  it("draws whole numbers that equal the host's", async () => {
    using x = randint(device, -5, 12, [257], { generator: new Generator(9) });
    expect(x.dtype).toBe("i32");
    expect(Array.from(await x.toArray())).toEqual(hostWords(9, 0, 257).map((word) => -5 + belowOf(word, 17)));
    expect(() => randint(device, 3, 3, [2])).toThrow(/low < high/);
  });

  it("draws normals as Box and Muller do", async () => {
    using x = randn(device, [6000], { generator: new Generator(1) });
    const values = await x.toArray();
    const words = hostWords(1, 0, 6000);
    for (let i = 0; i < 6000; i += 2) {
      const radius = Math.sqrt(-2 * Math.log((words[i]! + 0.5) / 2 ** 32));
      const angle = 2 * Math.PI * (uniformOf(words[i + 1]!) - 0.5);
      expect(Math.abs(values[i]! - radius * Math.cos(angle))).toBeLessThan(2e-3);
      expect(Math.abs(values[i + 1]! - radius * Math.sin(angle))).toBeLessThan(2e-3);
    }
    expect(Math.abs(mean(values))).toBeLessThan(0.05);
    expect(Math.abs(deviation(values) - 1)).toBeLessThan(0.04);
    expect(Array.from(values).every(Number.isFinite)).toBe(true);
  });

  it("draws coins with the probabilities given", async () => {
    using p = Tensor.from(device, Float32Array.from([0, 0.25, 1]), [3, 1]);
    using wide = p.expand([3, 4000]);
    using x = bernoulli(wide, { generator: new Generator(5) });
    const values = await x.toArray();
    expect(mean(values.subarray(0, 4000))).toBe(0);
    expect(Math.abs(mean(values.subarray(4000, 8000)) - 0.25)).toBeLessThan(0.03);
    expect(mean(values.subarray(8000))).toBe(1);
  });

  it("uses the device's own generator, which manualSeed restarts", async () => {
    manualSeed(device, 77);
    using a = rand(device, [8]);
    using b = rand(device, [8]);
    const state = defaultGenerator(device).getState();
    expect(state).toEqual({ seed: 77, offset: 4 });
    manualSeed(device, 77);
    using again = rand(device, [8]);
    expect(await again.toArray()).toEqual(await a.toArray());
    expect(await b.toArray()).not.toEqual(await a.toArray());
  });

  it("keeps f16 uniforms below 1", async ({ skip }) => {
    if (!device.features.has("shader-f16")) skip();
    using x = rand(device, [20000], { dtype: "f16", generator: new Generator(2) });
    const values = await x.toArray();
    expect(Math.max(...values)).toBeLessThan(1);
    expect(Math.abs(mean(values) - 0.5)).toBeLessThan(0.01);
  });
});
