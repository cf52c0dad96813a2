import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { assemble, type Kernel } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { readSafetensors, toFloat32 } from "../../io/index.js";
import { choose } from "../../kernels/ladder.js";
import { checkEntry, describeWorst } from "../../lab/check.js";
import { checkOwnKernel, ownKernel } from "../../lab/own-kernel.js";
import { openDevice } from "../../node.js";
import { numel, type Shape } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { cases, type MatmulCase, tolerance } from "./cases.js";
import { bmm, linear, matmul } from "./index.js";
import { entries } from "./lab.js";
import { type MatmulProblem, type MatmulStep, matmulLadder, matrixLaunch } from "./ladder.js";
import { matmulGradientReference, matmulReference } from "./reference.js";

const full = await openDevice();
const limited = await openDevice({ limits: "default", features: [] });
afterAll(() => {
  full.close();
  limited.close();
});

/** Numbers in [-1, 1) that f16 holds exactly, the same in every run. */
function values(count: number, seed: number): Float32Array {
  let state = seed * 2654435761 + 1;
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 21) - 1024) / 1024;
  });
}

/** A leaf and the view of it that takes part in the product. */
function operand(device: Device, shape: Shape, data: Float32Array, transposed: boolean, dtype: Dtype) {
  if (!transposed) {
    const leaf = Tensor.from(device, data, shape, { dtype, requiresGrad: true });
    return { leaf, view: leaf };
  }
  const [rows, columns] = shape.slice(-2) as [number, number];
  const stored = [...shape.slice(0, -2), columns, rows];
  const leaf = Tensor.from(device, swapped(data, rows, columns), stored, { dtype, requiresGrad: true });
  return { leaf, view: leaf.transpose(-1, -2) };
}

/** Each matrix of `rows` × `columns` stored the other way round. */
function swapped(data: Float32Array, rows: number, columns: number): Float32Array {
  const size = rows * columns;
  return Float32Array.from(data, (_, p) => {
    const [z, i, j] = [Math.floor(p / size), Math.floor((p % size) / rows), p % rows];
    return data[z * size + j * columns + i]!;
  });
}

/** Every element within `relative` of the sum of the absolute values of its terms. */
function expectClose(
  got: ArrayLike<number>,
  want: Float64Array,
  terms: Float64Array,
  relative: number,
  what: string,
) {
  expect(got.length, what).toBe(want.length);
  let worst = -1;
  for (let i = 0; i < want.length; i++) {
    const limit = relative * (terms[i]! + 1e-30);
    if (!(Math.abs(got[i]! - want[i]!) <= limit)) worst = i;
  }
  if (worst >= 0) expect(got[worst], `${what}[${worst}]`).toBeCloseTo(want[worst]!, 6);
}

async function check(device: Device, c: MatmulCase, dtype: Dtype): Promise<void> {
  const a = { shape: c.a, data: values(numel(c.a), 1) };
  const b = { shape: c.b, data: values(numel(c.b), 2) };
  const want = matmulReference(a, b);
  const dy = values(want.data.length, 3);
  const gradients = matmulGradientReference(a, b, dy);
  const absolute = (x: { shape: Shape; data: Float32Array }) => ({
    shape: x.shape,
    data: x.data.map(Math.abs),
  });
  const terms = matmulReference(absolute(a), absolute(b));
  const gradientTerms = matmulGradientReference(absolute(a), absolute(b), dy.map(Math.abs));

  const left = operand(device, c.a, a.data, c.aTransposed ?? false, dtype);
  const right = operand(device, c.b, b.data, c.bTransposed ?? false, dtype);
  const relative = dtype === "f16" ? tolerance.f16 : tolerance.f32;
  const y = matmul(left.view, right.view);
  expect(y.shape).toEqual(want.shape);
  expect(y.dtype).toBe(dtype);
  expectClose(await y.toArray(), want.data, terms.data, relative, "y");
  y.backward({ gradient: Tensor.from(device, dy, y.shape, { dtype }) });
  const gradient = async (x: typeof left) =>
    x.leaf.grad ? (x.view === x.leaf ? x.leaf.grad : x.leaf.grad.transpose(-1, -2)).toArray() : [];
  expectClose(await gradient(left), gradients.a, gradientTerms.a, relative, "grad a");
  expectClose(await gradient(right), gradients.b, gradientTerms.b, relative, "grad b");
}

/** What stands in for the matrix units: every lane does the whole work, and all store the same. */
const fragmentsInPlainWgsl = `
alias Left = array<E, FRAGMENT_M * FRAGMENT_K>;
alias Right = array<E, FRAGMENT_K * FRAGMENT_N>;
alias Sums = array<f32, FRAGMENT_M * FRAGMENT_N>;
// Not known to the compiler, which would write all the loops out.
fn rolled(count: u32) -> u32 { return min(count, count * params.m); }
fn load_left(offset: u32, across: bool, stride: u32) -> Left {
  var x: Left;
  for (var i = 0u; i < rolled(FRAGMENT_M * FRAGMENT_K); i++) { x[i] = a_tile[offset + i / FRAGMENT_K * stride + i % FRAGMENT_K]; }
  return x;
}
fn load_right(offset: u32, across: bool, stride: u32) -> Right {
  var x: Right;
  for (var i = 0u; i < rolled(FRAGMENT_K * FRAGMENT_N); i++) { x[i] = b_tile[offset + i / FRAGMENT_N * stride + i % FRAGMENT_N]; }
  return x;
}
fn multiply_accumulate(left: Left, right: Right, sums: Sums) -> Sums {
  var y = sums;
  for (var i = 0u; i < rolled(FRAGMENT_M * FRAGMENT_N); i++) {
    for (var k = 0u; k < rolled(FRAGMENT_K); k++) {
      y[i] += f32(left[i / FRAGMENT_N * FRAGMENT_K + k]) * f32(right[k * FRAGMENT_N + i % FRAGMENT_N]);
    }
  }
  return y;
}
fn store_fragment(offset: u32, sums: Sums, across: bool, stride: u32) {
  for (var i = 0u; i < rolled(FRAGMENT_M * FRAGMENT_N); i++) { results[offset + i / FRAGMENT_N * stride + i % FRAGMENT_N] = sums[i]; }
}
`;

/** Devices, element types, and whether all the sizes around the edges of a tile are tried there too. */
const adapters: readonly [string, Device, Dtype, boolean][] = [
  ["f32", full, "f32", true],
  ["f32, 256 invocations, no features", limited, "f32", false],
  ["f16", full, "f16", false],
];

for (const [name, device, dtype, edges] of adapters) {
  // The steps that take only some products are checked on the shapes of the lab, below.
  for (const variant of matmulLadder.steps.filter((step) => !/skinny|split-k|matrix/.test(step.name))) {
    const refused = variant.needs(device);
    const missing =
      refused ?? (dtype === "f16" && !device.features.has("shader-f16") ? "no shader-f16" : null);
    describe.skipIf(missing)(`matmul ${variant.name}, ${name}${missing ? ` (${missing})` : ""}`, () => {
      beforeAll(() => {
        device.variants.set("matmul", variant.name);
      });
      afterAll(() => {
        device.variants.delete("matmul");
      });
      it.each(cases.filter((c) => !c.bench && (edges || !c.name.startsWith("edge"))))("$name", (c) =>
        check(device, c, dtype),
      );

      it("keeps infinities and NaN in their own rows and columns, at edges too", async () => {
        for (const inner of [5, 8]) {
          const a = new Float32Array(3 * inner).fill(1);
          const b = new Float32Array(inner * 7).fill(1);
          a[2 * inner - 1] = Number.NaN;
          b[inner * 7 - 1] = Number.POSITIVE_INFINITY;
          const y = matmul(
            Tensor.from(device, a, [3, inner], { dtype }),
            Tensor.from(device, b, [inner, 7], { dtype }),
          );
          const row = [...new Array<number>(6).fill(inner), Number.POSITIVE_INFINITY];
          const want = [...row, ...new Array<number>(7).fill(Number.NaN), ...row];
          expect(Array.from(await y.toArray())).toEqual(want);
        }
      });

      it("linear, its bias in the same kernel, and all gradients", async () => {
        for (const [rows, inner, out] of [
          [33, 12, 8],
          [36, 40, 44],
          [5, 7, 3],
        ] as const) {
          const relative = dtype === "f16" ? tolerance.f16 : tolerance.f32;
          const x = values(rows * inner, 4);
          const w = values(out * inner, 5);
          const bias = values(out, 6);
          const make = (data: Float32Array, shape: Shape) =>
            Tensor.from(device, data, shape, { dtype, requiresGrad: true });
          const [tx, tw, tb] = [make(x, [1, rows, inner]), make(w, [out, inner]), make(bias, [out])];
          const before = device.counters.dispatches;
          const y = linear(tx, tw, tb);
          expect(device.counters.dispatches - before).toBe(1);
          const want = matmulReference(
            { shape: [rows, inner], data: x },
            { shape: [inner, out], data: swapped(w, out, inner) },
          );
          const expected = want.data.map((v, i) => v + bias[i % out]!);
          expectClose(
            await y.toArray(),
            expected,
            new Float64Array(expected.length).fill(inner),
            relative,
            "y",
          );
          const dy = values(rows * out, 7);
          y.backward({ gradient: Tensor.from(device, dy, y.shape, { dtype }) });
          const dw = matmulReference(
            { shape: [out, rows], data: swapped(dy, rows, out) },
            { shape: [rows, inner], data: x },
          );
          expectClose(
            await tw.grad!.toArray(),
            dw.data,
            new Float64Array(out * inner).fill(rows),
            relative,
            "grad weight",
          );
          const db = Float64Array.from({ length: out }, (_, j) =>
            dy.reduce((s, v, i) => (i % out === j ? s + v : s), 0),
          );
          expectClose(await tb.grad!.toArray(), db, new Float64Array(out).fill(rows), relative, "grad bias");
        }
      });
    });
  }
}

describe("matmul", () => {
  const make = (shape: Shape, seed = 1) => Tensor.from(full, values(numel(shape), seed), shape);

  it("takes 1-d operands as torch does", async () => {
    const [row, matrix] = [make([4]), make([4, 5], 2)];
    expect(matmul(row, matrix).shape).toEqual([5]);
    expect(matmul(make([2, 3, 4]), row).shape).toEqual([2, 3]);
    expect(matmul(row, row).shape).toEqual([]);
    const want = values(4, 1).reduce((sum, v) => sum + v * v, 0);
    expect(await matmul(row, row).item()).toBeCloseTo(want, 6);
  });

  it("reads transposed, sliced and expanded operands without a copy", () => {
    const x = make([2, 16, 3, 8]);
    const calls: [string, () => Tensor][] = [
      ["transposed", () => matmul(make([8, 12]).transpose(0, 1), make([8, 4]))],
      ["heads", () => matmul(x.transpose(1, 2), x.permute([0, 2, 3, 1]))],
      ["sliced", () => matmul(x.narrow(1, 1, 5).select(0, 1), make([8, 3]))],
      ["expanded", () => matmul(make([1, 4, 8]).expand([3, 4, 8]), make([3, 8, 4]))],
    ];
    for (const [name, call] of calls) {
      const before = full.counters.dispatches;
      call();
      expect(full.counters.dispatches - before, name).toBe(1);
    }
  });

  it("sums a long batch of one weight in a single product", () => {
    const x = make([6, 10, 8]).requiresGrad_();
    const w = make([8, 4]).requiresGrad_();
    const y = matmul(x, w);
    const before = full.counters.dispatches;
    y.backward({ gradient: make([6, 10, 4]) });
    expect(full.counters.dispatches - before).toBe(2);
  });

  it("says which sizes differ and what to do", () => {
    expect(() => matmul(make([16, 64, 768]), make([512, 768]))).toThrow(
      "matmul: inner dimensions differ: [16, 64, 768] × [512, 768] (768 ≠ 512). Did you mean b.transpose(-1, -2)?",
    );
    expect(() => matmul(make([2, 3, 4]), make([3, 4, 5]))).toThrow("do not broadcast (2 ≠ 3");
    expect(() => matmul(make([]), make([3]))).toThrow("Multiply by a number with mul()");
    expect(() => linear(make([2, 4]), make([4, 3]))).toThrow("(4 ≠ 3). It looks transposed");
    expect(() => linear(make([2, 4]), make([3, 4]), make([4]))).toThrow("bias [4] must be [3]");
    expect(() => bmm(make([2, 3, 4]), make([4, 5]))).toThrow("bmm: needs [B, M, K] and [B, K, N]");
    expect(() => matmul(make([2, 2]), make([2, 2]).to("i32"))).toThrow("b is i32, expected f32 or f16");
  });

  it("names the variants that can run when another is asked for", () => {
    limited.variants.set("matmul", "4-subgroup");
    const x = Tensor.from(limited, values(4, 1), [2, 2]);
    expect(() => matmul(x, x)).toThrow(
      /variant 4-subgroup needs subgroups of one size.* Here these can run: 1-naive, 2-tile, 3-register/,
    );
    limited.variants.set("matmul", "9-magic");
    expect(() => matmul(x, x)).toThrow("there is no variant 9-magic");
    limited.variants.delete("matmul");
  });

  it("chooses a variant by adapter and shape", () => {
    const choice = (device: Device, m: number, n: number) => {
      const types = ["f32", "f32", "f32"] as const;
      const vec4 = n % 4 === 0;
      const problem: MatmulProblem = { batch: 1, m, n, k: 100, layout: "nn", types, vec4 };
      return choose(device, matmulLadder, problem).step.name;
    };
    expect(choice(limited, 1024, 768)).toBe("3-register");
    expect(choice(limited, 1024, 2)).toBe("1-naive");
    expect(choice(full, 1, 1)).toBe("1-naive");
    expect(choice(full, 16, 2)).toBe("1-naive");
    if (full.subgroupSize >= 4) expect(choice(full, 16, 384)).toBe("4-subgroup");
  });

  it("splits a batch of more matrices than a dispatch can have", async () => {
    const count = 65600;
    const a = make([count, 1, 3]);
    const b = make([count, 3, 1], 2);
    const before = full.counters.dispatches;
    const y = await matmul(a, b).toArray();
    expect(full.counters.dispatches - before).toBe(2);
    const [x, z] = [await a.toArray(), await b.toArray()];
    for (const i of [0, 65534, 65535, count - 1]) {
      expect(y[i]).toBeCloseTo(
        x[3 * i]! * z[3 * i]! + x[3 * i + 1]! * z[3 * i + 1]! + x[3 * i + 2]! * z[3 * i + 2]!,
        5,
      );
    }
  });

  it("leaves nothing behind", () => {
    const before = full.memory().liveTensors;
    scope(() => {
      const x = make([2, 9, 8]).requiresGrad_();
      const w = make([5, 8]).requiresGrad_();
      linear(x, w).sum().backward();
    });
    expect(full.memory().liveTensors).toBe(before);
  });
});

describe("matmul on the shapes of the lab", () => {
  const entry = entries[0]!;
  const failures = async (device: Device, steps: readonly string[], shapes?: readonly string[]) => {
    const results = await checkEntry(device, entry, { steps, repeats: 1, ...(shapes ? { shapes } : {}) });
    expect(results.some((result) => result.status === "passed")).toBe(true);
    const failed = results.filter((result) => result.status === "failed");
    return failed.map(
      (result) => `${result.step} ${result.shape}: ${result.reason ?? describeWorst(result)}`,
    );
  };

  it.each(["5-workgroup", "6-skinny", "7-split-k"])("%s", async (step) => {
    expect(await failures(full, [step])).toEqual([]);
  });

  it("every epilogue and type of the chosen steps", async () => {
    const shapes = entry.checkShapes.filter((shape) =>
      /bias|lu|addend|scale|second|sums|f16|mixed/.test(shape),
    );
    expect(await failures(full, ["4-subgroup"], shapes)).toEqual([]);
    expect(await failures(limited, ["3-register"], shapes)).toEqual([]);
  });

  it("a kernel of the user's own: the template is right, a wrong one is found", async () => {
    const { template } = entry.contract;
    const shapes = ["33x17x9,nt,bias", "36x40x44,tn", "33x17x9,bias,gelu", "7x5x3,tn,batch=3"];
    const right = await checkOwnKernel(full, entry, ownKernel("mine.wgsl", template), { shapes });
    expect(right).toMatchObject({ ok: true, passed: 4 });
    const wrong = template.replace("k < params.k", "k + 1u < params.k");
    const report = await checkOwnKernel(full, entry, ownKernel("mine.wgsl", wrong), { shapes });
    expect(report.ok).toBe(false);
    expect(report.failed).toHaveLength(4);
    const bare = template.replace("const GROUP_ROWS: u32 = 16u;", "").replace("GROUP_ROWS)", "16u)");
    const missing = await checkOwnKernel(full, entry, ownKernel("mine.wgsl", bare), { shapes });
    expect(missing.error).toContain("must declare `const GROUP_ROWS: u32");
  });

  it("8-subgroup-matrix, with fragments in plain WGSL in the place of the adapter's", async () => {
    const step = matmulLadder.steps.find(({ name }) => name === "8-subgroup-matrix")!;
    const plain = (kernel: Kernel): Kernel => ({
      ...kernel,
      name: `${kernel.name}-in-plain-wgsl`,
      requires: [],
      source:
        kernel.source
          .replace(/subgroup_matrix_result<f32, FRAGMENT_N, FRAGMENT_M>/g, "Sums")
          .replace(/array<subgroup_matrix_left<E, FRAGMENT_K, FRAGMENT_M>, DOWN>/g, "array<Left, DOWN>")
          .replace(/subgroupMatrixLoad<subgroup_matrix_(left|right)<[^>]*>>\(&[ab]_tile, /g, "load_$1(")
          .replace(/subgroupMatrixMultiplyAccumulate/g, "multiply_accumulate")
          .replace(/subgroupMatrixStore\(&results, /g, "store_fragment(") + fragmentsInPlainWgsl,
    });
    const stand: MatmulStep = {
      ...step,
      name: "8-in-plain-wgsl",
      kernels: { vec4: plain(step.kernels.vec4), strided: plain(step.kernels.strided) },
      needs: () => null,
      fits: () => null,
      launch(_device, { types: [a, b] }) {
        const launch = matrixLaunch({ M: 4, N: 8, K: 4 }, 8, a === "f16" || b === "f16" ? "f16" : "f32");
        return { ...launch, rows: 8, columns: 8, constants: { ...launch.constants, SIDE: 8, DEPTH: 8 } };
      },
    };
    const steps = matmulLadder.steps as MatmulStep[];
    steps.push(stand);
    try {
      // A few, for each takes seconds to compile.
      const shapes = ["17x9x11,bias", full.features.has("shader-f16") ? "12x20x8,nt,mixed" : "12x20x8,nt"];
      expect(await failures(full, [stand.name], shapes)).toEqual([]);
    } finally {
      steps.pop();
    }
  });

  it("8-subgroup-matrix is text that Dawn takes where the feature is there", async () => {
    const nowhere = await openDevice({
      dawnFlags: ["backend=null", "enable-dawn-features=allow_unsafe_apis"],
      limits: "default",
    });
    const step = matmulLadder.steps.find(({ name }) => name === "8-subgroup-matrix")!;
    for (const type of ["f16", "f32"] as const) {
      for (const kernel of [step.kernels.vec4, step.kernels.strided]) {
        // The null adapter may use subgroups of 4 to 128; a workgroup must be a multiple of the largest.
        const { types, constants } = matrixLaunch({ M: 8, N: 8, K: 8 }, 128, type);
        const { code } = assemble(kernel, {
          types: { TA: type, TB: "f32", TBIAS: "f32", TY: type, ...types },
          constants: {
            ...constants,
            ACTIVATIONS: true,
            SCALES: false,
            A_TRANSPOSED: false,
            B_TRANSPOSED: true,
          },
          text: "fn write_before(at: u32, value: Y) {}",
        });
        nowhere.gpu.pushErrorScope("validation");
        nowhere.gpu.createComputePipeline({
          layout: "auto",
          compute: { module: nowhere.gpu.createShaderModule({ code }), entryPoint: "main" },
        });
        expect((await nowhere.gpu.popErrorScope())?.message).toBeUndefined();
      }
    }
    nowhere.close();
  });
});

const shared = process.env.WGRAD_SHARED!;
const fixtures = join(shared, "fixtures/ops");
interface Fixture {
  readonly name: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  readonly inputs: Readonly<Record<string, { readonly shape: Shape }>>;
  readonly grads?: readonly string[];
  readonly tol: Readonly<Record<string, { readonly rtol: number; readonly atol: number }>>;
}

describe.skipIf(!existsSync(join(fixtures, "index.json")))(`PyTorch's values in ${fixtures}`, () => {
  const index = existsSync(join(fixtures, "index.json"))
    ? JSON.parse(readFileSync(join(fixtures, "index.json"), "utf8"))
    : { ops: {} };
  for (const op of ["matmul", "linear", "bmm"]) {
    it.each((index.ops[op]?.cases ?? []) as Fixture[])(`${op} $name`, async (fixture) => {
      const file = readSafetensors(readFileSync(join(fixtures, `${op}.safetensors`)));
      const read = (name: string) => toFloat32(file.get(`${fixture.name}.${name}`));
      const inputs: Record<string, Tensor> = {};
      for (const [name, { shape }] of Object.entries(fixture.inputs)) {
        inputs[name] = Tensor.from(full, read(`in.${name}`), shape, { requiresGrad: true });
      }
      const compare = (got: ArrayLike<number>, name: string) => {
        const want = read(name);
        const { rtol, atol } = fixture.tol[name]!;
        expect(got.length, name).toBe(want.length);
        for (let i = 0; i < want.length; i++) {
          expect(Math.abs(got[i]! - want[i]!), `${name}[${i}]`).toBeLessThanOrEqual(
            atol + rtol * Math.abs(want[i]!),
          );
        }
      };
      const side = (x: Tensor, transposed: unknown) => (transposed ? x.transpose(-1, -2) : x);
      const { a, b, x, weight, bias } = inputs;
      const y =
        op === "linear"
          ? linear(x!, weight!, bias)
          : (op === "bmm" ? bmm : matmul)(
              side(a!, fixture.attrs.transpose_a),
              side(b!, fixture.attrs.transpose_b),
            );
      compare(await y.toArray(), "out");
      if (!fixture.grads) return;
      y.backward({ gradient: Tensor.from(full, read("grad_out"), y.shape) });
      for (const name of fixture.grads) compare(await inputs[name]!.grad!.toArray(), `grad.${name}`);
    });
  }
});
