import { afterAll, describe, expect, it } from "vitest";
import { gradcheck } from "../../autograd/gradcheck.js";
import type { Device } from "../../device/device.js";
import { fromHalfBits, toHalfBits } from "../../dtype.js";
import { checkEntry } from "../../lab/check.js";
import { openDevice } from "../../node.js";
import { Generator, type RandomRange, randomBlock } from "../../random/generator.js";
import { Tensor } from "../../tensor.js";
import { expectFixtures, fixturesMissing } from "../../testing/op-fixtures.js";
import { type AttentionCase, cases } from "./cases.js";
import { scaledDotProductAttention } from "./index.js";
import { entries } from "./lab.js";
import { attentionReference } from "./reference.js";

/** Milliseconds for one case: the first of its kind compiles three kernels, which takes a busy software driver long. */
const COMPILES = 600_000;

/** Uniform numbers around 0 with variance 1, the same on every run. */
function numbers(count: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 3.46;
  });
}

/** The number as the case's dtype holds it. */
const half = (x: number, c: AttentionCase) => (c.f16 ? fromHalfBits(toHalfBits(x)) : x);

/** cu_seqlens of a packed case: its tensor, and what it adds to a score. */
function makePacked(device: Device, lengths: readonly number[]) {
  const starts = [0];
  for (const length of lengths) starts.push(starts.at(-1)! + length);
  const sequence = (n: number) => starts.findLastIndex((start) => start <= n);
  const padding = lengths.length;
  const bias = (_b: number, _h: number, i: number, j: number) =>
    sequence(i) === sequence(j) && sequence(i) < padding ? 0 : Number.NEGATIVE_INFINITY;
  return { cuSeqlens: Tensor.from(device, Int32Array.from(starts), [starts.length]), bias };
}

/** The mask of a case: its tensor, and what it adds to a score. */
function makeMask(
  device: Device,
  c: AttentionCase,
): { mask: Tensor | null; bias: (b: number, h: number, i: number, j: number) => number } {
  const { B, H, L, S } = c;
  const hide = (on: boolean) => (on ? 0 : Number.NEGATIVE_INFINITY);
  const bool = (shape: number[], f: (...at: number[]) => boolean) => {
    const data = new Uint8Array(shape.reduce((a, n) => a * n, 1));
    for (let n = 0; n < data.length; n++) {
      let rest = n;
      const at = shape.map(() => 0);
      for (let d = shape.length - 1; d >= 0; d--) {
        at[d] = rest % shape[d]!;
        rest = Math.floor(rest / shape[d]!);
      }
      data[n] = f(...at) ? 1 : 0;
    }
    return Tensor.from(device, data, shape);
  };
  const random = numbers(B * H * L * S, 99);
  switch (c.mask ?? "none") {
    case "none":
      return { mask: null, bias: () => 0 };
    case "padding": {
      const length = (b: number) => Math.max(1, S - 7 * b);
      return {
        mask: bool([B, 1, 1, S], (b, _h, _i, j) => j! < length(b!)),
        bias: (b, _h, _i, j) => hide(j < length(b)),
      };
    }
    case "full": {
      const on = (b: number, h: number, i: number, j: number) =>
        i % 5 !== 2 && random[((b * H + h) * L + i) * S + j]! > 0;
      return {
        mask: bool([B, H, L, S], (b, h, i, j) => on(b!, h!, i!, j!)),
        bias: (b, h, i, j) => hide(on(b, h, i, j)),
      };
    }
    case "rank2": {
      const on = (i: number, j: number) => random[i * S + j]! > -0.5;
      return { mask: bool([L, S], (i, j) => on(i!, j!)), bias: (_b, _h, i, j) => hide(on(i, j)) };
    }
    case "queries":
      return { mask: bool([B, 1, L, 1], (b, _h, i) => i! % 3 !== b), bias: (b, _h, i) => hide(i % 3 !== b) };
    case "nothing":
      return { mask: bool([1, 1, 1, S], () => false), bias: () => hide(false) };
    case "added": {
      const data = random.slice(0, H * L * S).map((x) => (x > 1.2 ? Number.NEGATIVE_INFINITY : half(x, c)));
      return {
        mask: Tensor.from(device, data, [1, H, L, S]).to(c.f16 ? "f16" : "f32"),
        bias: (_b, h, i, j) => data[(h * L + i) * S + j]!,
      };
    }
    case "lowest": {
      const length = (b: number) => Math.max(1, S - 5 * b);
      const data = Float32Array.from({ length: B * S }, (_, n) =>
        n % S < length(Math.floor(n / S)) ? 0 : -3.4028234663852886e38,
      );
      return { mask: Tensor.from(device, data, [B, 1, 1, S]), bias: (b, _h, _i, j) => hide(j < length(b)) };
    }
  }
}

/** A leaf that holds `data` ([B, H, rows, D], row-major) as the case wants it in memory, and how to see it as [B, H, rows, D]. */
function operand(
  device: Device,
  data: Float32Array,
  rows: number,
  c: AttentionCase,
): { leaf: Tensor; see: (x: Tensor) => Tensor } {
  const { B, H, D } = c;
  const fill = (count: number, at: (b: number, h: number, i: number, d: number) => number) => {
    const out = new Float32Array(count).fill(0.5);
    for (let n = 0; n < data.length; n++) {
      const d = n % D;
      const i = Math.floor(n / D) % rows;
      const h = Math.floor(n / (D * rows)) % H;
      out[at(Math.floor(n / (D * rows * H)), h, i, d)] = data[n]!;
    }
    return out;
  };
  const leaf = (numbers: Float32Array, shape: number[]) =>
    Tensor.from(device, numbers, shape, { requiresGrad: true });
  const all = [null, null] as const;
  switch (c.layout ?? "plain") {
    case "plain":
      return { leaf: leaf(data, [B, H, rows, D]), see: (x) => x };
    case "projections": {
      // The middle third of a layer's output.
      const numbers = fill(B * rows * 3 * H * D, (b, h, i, d) => ((b * rows + i) * 3 * H + H + h) * D + d);
      const see = (x: Tensor) =>
        x
          .reshape([B, rows, 3, H, D])
          .slice([all, all, [1, 2]])
          .squeeze(2)
          .transpose(1, 2);
      return { leaf: leaf(numbers, [B, rows, 3 * H * D]), see };
    }
    case "turned": {
      const numbers = fill(data.length, (b, h, i, d) => ((b * H + h) * D + d) * rows + i);
      return { leaf: leaf(numbers, [B, H, D, rows]), see: (x) => x.transpose(2, 3) };
    }
    case "odd": {
      const numbers = fill(
        B * H * rows * (D + 1),
        (b, h, i, d) => ((b * H + h) * rows + i) * (D + 1) + d + 1,
      );
      return { leaf: leaf(numbers, [B, H, rows, D + 1]), see: (x) => x.slice([all, all, all, [1, D + 1]]) };
    }
  }
}

/** Dropout's factor of each weight, made on the host from the same random words. */
function droppedBy(
  c: AttentionCase,
  range: RandomRange,
): (b: number, h: number, i: number, j: number) => number {
  const below = Math.round((c.dropoutP ?? 0) * 65536);
  if (below === 0) return () => 1;
  const groups = Math.ceil(c.S / 8);
  return (b, h, i, j) => {
    const words = randomBlock(range, ((b * c.H + h) * c.L + i) * groups + Math.floor(j / 8));
    const half = (words[Math.floor((j % 8) / 2)]! >>> (16 * (j % 2))) & 0xffff;
    return half >= below ? 65536 / (65536 - below) : 0;
  };
}

/** Largest difference, relative to the larger of 1 and the largest reference value; NaN counts as infinite. */
function difference(got: ArrayLike<number>, want: Float64Array): number {
  expect(got.length).toBe(want.length);
  let largest = 1;
  let worst = 0;
  for (let n = 0; n < want.length; n++) {
    largest = Math.max(largest, Math.abs(want[n]!));
    const d = Math.abs(got[n]! - want[n]!);
    if (!(d <= worst)) worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : d;
  }
  return worst / largest;
}

async function check(device: Device, c: AttentionCase): Promise<void> {
  const { B, H, L, S, D } = c;
  const data = {
    q: numbers(B * H * L * D, 1).map((x) => half(x * (c.gain ?? 1), c)),
    k: numbers(B * H * S * D, 2).map((x) => half(x, c)),
    v: numbers(B * H * S * D, 3).map((x) => half(x, c)),
    g: numbers(B * H * L * D, 4).map((x) => half(x, c)),
  };
  const { cuSeqlens, mask, bias } = c.packed
    ? { mask: null, ...makePacked(device, c.packed) }
    : { cuSeqlens: null, ...makeMask(device, c) };
  const scale = c.scale ?? 1 / Math.sqrt(D);
  const generator = new Generator(7);
  const kept = droppedBy(c, new Generator(7).next(B * H * L * Math.ceil(S / 8)));
  const want = attentionReference({
    B,
    H,
    L,
    S,
    D,
    ...data,
    scale,
    isCausal: c.isCausal ?? false,
    bias,
    kept,
  });

  const [q, k, v] = [
    operand(device, data.q, L, c),
    operand(device, data.k, S, c),
    operand(device, data.v, S, c),
  ];
  const dtype = c.f16 ? "f16" : "f32";
  const seen = [q, k, v].map(({ see, leaf }) => see(leaf.to(dtype))) as [Tensor, Tensor, Tensor];
  const y = scaledDotProductAttention(...seen, {
    mask,
    cuSeqlens,
    isCausal: c.isCausal,
    scale: c.scale,
    dropoutP: c.dropoutP,
    generator,
  });
  expect(y.shape).toEqual([B, H, L, D]);
  expect(y.dtype).toBe(dtype);
  // The gradient comes as it does from the layer after it: a view of [B, L, H * D].
  const g = Tensor.from(device, data.g, [B, H, L, D]).transpose(1, 2).contiguous().to(dtype).transpose(1, 2);
  y.backward({ gradient: g });
  // f32 sums of D products and S weights; the largest scores in the table (gain 40) are some 200, where f32 steps by 1.5e-5.
  // Results in f16 are rounded to 11 bits, and so is y before delta, a sum over the width, is computed from it.
  const tolerance = c.f16 ? 3e-3 : 3e-6 * (c.gain ?? 1);
  expect(difference(await y.toArray(), want.y), "y").toBeLessThan(tolerance);
  for (const [name, x, wanted] of [
    ["dq", q, want.dq],
    ["dk", k, want.dk],
    ["dv", v, want.dv],
  ] as const) {
    expect(difference(await x.see(x.leaf.grad!.detach()).toArray(), wanted), name).toBeLessThan(tolerance);
  }
}

/** Of the lab's shapes, enough for each flag once: every combination of flags compiles every step. `wgrad kernels check` runs all. */
const shapes = [
  ...["1x1x1x1x4", "1x2x63x63x16", "1x2x70x5x8", "1x2x9x18x6", "2x2x35x50x16,full", "2x2x34x20x16,added"],
  ...["1x2x70x70x16,causal", "2x2x70x70x16,mask,dropout", "4x2x33x33x32,packed,dropout", "2x2x40x40x32,f16"],
];

for (const [label, options] of [
  ["this adapter", {}],
  ["an adapter with default limits, without subgroups and f16", { limits: "default", features: [] }],
] as const) {
  describe(`attention on ${label}`, async () => {
    const device = await openDevice(options);
    afterAll(() => device.close());
    for (const entry of entries) {
      for (const { name, needs } of entry.ladder.steps) {
        it.skipIf(needs(device) !== null)(
          `${entry.ladder.op}/${name} gives what the reference does`,
          async () => {
            const results = await checkEntry(device, entry, { steps: [name], shapes, repeats: 1 });
            expect(results.filter(({ status }) => status === "failed")).toEqual([]);
            expect(results.some(({ status }) => status === "passed")).toBe(true);
          },
          COMPILES,
        );
      }
    }
    it.skipIf(fixturesMissing)("PyTorch's values", () => expectFixtures(device, "sdpa"), COMPILES);
    for (const c of cases) {
      it.skipIf(c.f16 && !device.features.has("shader-f16"))(c.name, () => check(device, c), COMPILES);
    }
  });
}

describe("cuSeqlens", async () => {
  const device = await openDevice();
  afterAll(() => device.close());
  const x = Tensor.zeros(device, [1, 2, 8, 4]);
  const ends = (data: number[]) => Tensor.from(device, Int32Array.from(data), [data.length]);

  it("gives the tokens of a padded batch the same results", async () => {
    const [lengths, longest, H, D] = [[5, 9, 1], 9, 2, 8];
    const tokens = lengths.reduce((sum, n) => sum + n, 0);
    const packed = [1, 2, 3].map((seed) => numbers(tokens * H * D, seed));
    const starts = lengths.map((_, b) => lengths.slice(0, b).reduce((sum, n) => sum + n, 0));
    const pad = (data: Float32Array) => {
      const out = new Float32Array(lengths.length * longest * H * D);
      for (const [b, n] of lengths.entries()) {
        const rows = data.subarray(starts[b]! * H * D, (starts[b]! + n) * H * D);
        out.set(rows, b * longest * H * D);
      }
      return Tensor.from(device, out, [lengths.length, longest, H, D]).transpose(1, 2);
    };
    const mask = lengths.flatMap((n) => Array.from({ length: longest }, (_, j) => (j < n ? 1 : 0)));
    const wanted = scaledDotProductAttention(...(packed.map(pad) as [Tensor, Tensor, Tensor]), {
      mask: Tensor.from(device, Uint8Array.from(mask), [lengths.length, 1, 1, longest]),
    });
    const views = packed.map((data) =>
      Tensor.from(device, data, [tokens, H, D]).transpose(0, 1).unsqueeze(0),
    ) as [Tensor, Tensor, Tensor];
    const y = scaledDotProductAttention(...views, { cuSeqlens: ends([...starts, tokens]) });
    const [got, all] = [
      await y.transpose(1, 2).contiguous().toArray(),
      await wanted.transpose(1, 2).contiguous().toArray(),
    ];
    for (const [b, n] of lengths.entries()) {
      const row = all.subarray(b * longest * H * D, (b * longest + n) * H * D);
      const part = got.subarray(starts[b]! * H * D, (starts[b]! + n) * H * D);
      expect(difference(part, Float64Array.from(row))).toBeLessThan(3e-6);
    }
  });

  it("has the gradient of its output", async () => {
    const leaves = [1, 2, 3].map((seed) =>
      Tensor.from(device, numbers(2 * 8 * 4, seed), [1, 2, 8, 4], { requiresGrad: true }),
    );
    const cuSeqlens = ends([0, 3, 7]);
    await gradcheck((...[q, k, v]) => scaledDotProductAttention(q!, k!, v!, { cuSeqlens }), leaves);
  });

  it("is told apart from what does not fit", () => {
    const call =
      (cuSeqlens: Tensor, options = {}) =>
      () =>
        scaledDotProductAttention(x, x, x, { cuSeqlens, ...options });
    expect(call(ends([0, 8]), { mask: Tensor.zeros(device, [8, 8]) })).toThrow(/no padding to mask/);
    expect(call(Tensor.zeros(device, [2]))).toThrow(/must be i32/);
    expect(call(ends([8]))).toThrow(/sequences \+ 1/);
    const two = Tensor.zeros(device, [2, 2, 8, 4]);
    expect(() => scaledDotProductAttention(two, two, two, { cuSeqlens: ends([0, 8]) })).toThrow(
      /x\.reshape\(\[T, H, D\]\)/,
    );
  });
});
