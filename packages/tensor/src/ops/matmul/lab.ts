import type { Dtype } from "../../dtype.js";
import { ValueError } from "../../errors.js";
import type { LabEntry } from "../../lab/entry.js";
import { Generator } from "../../random/generator.js";
import { contiguousStrides, numel } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { dropoutReference } from "../dropout/reference.js";
import { Inputs } from "../rows/lab.js";
import { numbers } from "../rows/numbers.js";
import { sum } from "../sum/index.js";
import naive from "./1-naive.wgsl";
import { type MatmulProblem, matmulLadder, provided } from "./ladder.js";
import { type Activation, type Operand, problemOf, productParts } from "./product.js";
import { activations, type HostArray, matmulReference } from "./reference.js";

const format =
  "MxKxN[,nn|nt|tn|tt][,batch=N][,f16|mixed][,bias][,gelu|quick_gelu|relu][,slope=gelu|…][,addend][,scale][,second=K2[,dropout]][,sums][,offset=N]";

/** What a shape text says. */
interface Text {
  readonly m: number;
  readonly k: number;
  readonly n: number;
  readonly batch: number;
  readonly layout: "nn" | "nt" | "tn" | "tt";
  /** Element types of a, b and y: `mixed` is f16 · f32 → f16, as in `linear` with master weights. */
  readonly types: MatmulProblem["types"];
  readonly bias: boolean;
  readonly activation: Activation | null;
  readonly slope: Activation | null;
  readonly addend: boolean;
  /** The result times 0.75. */
  readonly scale: boolean;
  /** Inner size of a second pair of operands, 0 for none. */
  readonly second: number;
  /** What the second product goes through. */
  readonly dropout: boolean;
  /** The sums of the rows of a too. */
  readonly sums: boolean;
  /** Elements that the operands lie away from the start of their memory. */
  readonly offset: number;
}

function parse(text: string): Text {
  const bad = () =>
    new ValueError(
      `matmul: the shape "${text}" is not of the form ${format}, such as 1024x384x1536,nt,bias.`,
    );
  const [head = "", ...flags] = text.split(",");
  const sizes = head.split("x").map(Number);
  if (sizes.length !== 3 || !sizes.every((size) => Number.isInteger(size) && size >= 0)) throw bad();
  const left = new Set(flags);
  const take = (flag: string) => left.delete(flag);
  const oneOf = <Name extends string>(names: readonly Name[], prefix = "") =>
    names.find((name) => take(prefix + name)) ?? null;
  const numberOf = (name: string, fallback: number) => {
    const found = flags.find((flag) => flag.startsWith(`${name}=`));
    if (found === undefined) return fallback;
    take(found);
    const value = Number(found.slice(name.length + 1));
    if (!Number.isInteger(value) || value < 0) throw bad();
    return value;
  };
  const names = ["gelu", "quick_gelu", "relu"] as const;
  const types: Record<string, MatmulProblem["types"]> = {
    f32: ["f32", "f32", "f32"],
    f16: ["f16", "f16", "f16"],
    mixed: ["f16", "f32", "f16"],
  };
  const [m, k, n] = sizes as [number, number, number];
  const found: Text = {
    m,
    k,
    n,
    batch: numberOf("batch", 1),
    layout: oneOf(["nn", "nt", "tn", "tt"]) ?? "nn",
    types: types[oneOf(["f16", "mixed"]) ?? "f32"]!,
    bias: take("bias"),
    activation: oneOf(names),
    slope: oneOf(names, "slope="),
    addend: take("addend"),
    scale: take("scale"),
    second: numberOf("second", 0),
    dropout: take("dropout"),
    sums: take("sums"),
    offset: numberOf("offset", 0),
  };
  const epilogues = [found.activation, found.slope, found.addend, found.scale].filter(Boolean).length;
  const single = found.sums || found.second > 0;
  const alone = found.second > 0 && (found.activation || found.slope || found.scale || found.sums);
  const dropped = found.dropout && (found.second === 0 || found.bias);
  if (left.size > 0 || epilogues > 1 || alone || dropped || (single && found.batch !== 1)) throw bad();
  return found;
}

/** `[…, rows, columns]` as it lies in memory, and the view that takes part. */
function operand(text: Text, rows: number, columns: number, transposed: boolean, dtype: Dtype) {
  const lead = text.batch === 1 ? [] : [text.batch];
  const shape = [...lead, rows, columns];
  const stored = transposed ? [...lead, columns, rows] : shape;
  const strides = contiguousStrides(stored);
  const own = transposed ? [...strides.slice(0, -2), 1, rows] : strides;
  const like: Operand = { shape, strides: own, offset: text.offset, rank: shape.length, dtype };
  return { stored, like, transposed };
}

/** Each matrix of `rows` × `columns` the other way round. */
function swapped(data: Float32Array, rows: number, columns: number): Float32Array {
  const size = rows * columns;
  return Float32Array.from(data, (_, p) => {
    const [z, i, j] = [Math.floor(p / size), Math.floor((p % size) / rows), p % rows];
    return data[z * size + j * columns + i]!;
  });
}

/** What `scale` multiplies by. */
const SCALE = 0.75;
/** What `dropout` drops: probability, and where the generator stands. */
const DROPOUT = { p: 0.25, state: { seed: 5, offset: 40 } } as const;

/** A second pair of operands on the device, and its product by the reference, dropped where it is to be. */
function secondPair(text: Text, inputs: Inputs) {
  const { m, n, second: k, types } = text;
  const transposed = text.layout[1] === "t";
  const [left, right] = [numbers(m * k, 5, types[0]), numbers(k * n, 6, types[1])];
  const a = inputs.tensor(left, [m, k], types[0]);
  const b = inputs.tensor(right, transposed ? [n, k] : [k, n], types[1]);
  const range = new Generator().setState(DROPOUT.state).next(Math.ceil((m * n) / 4));
  const dropout = text.dropout ? { p: DROPOUT.p, range } : null;
  return {
    pair: () => ({ a, b: transposed ? b.transpose(0, 1) : b, dropout }),
    expected(): ArrayLike<number> {
      const data = transposed ? swapped(right, n, k) : right;
      const product = matmulReference({ shape: [m, k], data: left }, { shape: [k, n], data });
      return dropout ? dropoutReference(product.data, DROPOUT.p, DROPOUT.state) : product.data;
    },
  };
}

function expected(
  text: Text,
  a: HostArray,
  b: HostArray,
  bias: Float32Array | null,
  extra: Float32Array | null,
  second: ArrayLike<number> | null,
) {
  const { n, activation, slope } = text;
  const { data } = matmulReference(a, b);
  if (second) for (let i = 0; i < data.length; i++) data[i]! += second[i]!;
  if (bias) for (let i = 0; i < data.length; i++) data[i]! += bias[i % n]!;
  const before = activation ? data.slice() : null;
  const y = activation
    ? data.map(activations[activation].value)
    : slope
      ? data.map((sum, i) => sum * activations[slope].slope(extra![i]!))
      : text.addend
        ? data.map((sum, i) => sum + extra![i]!)
        : text.scale
          ? data.map((sum) => sum * SCALE)
          : data;
  const sums = text.sums
    ? Float64Array.from({ length: text.m }, (_, i) => {
        let sum = 0;
        for (let l = 0; l < text.k; l++) sum += a.data[i * text.k + l]!;
        return sum;
      })
    : null;
  return { y, ...(before ? { before } : {}), ...(sums ? { sums } : {}) };
}

/** The products of a training step of a 6-layer, 384-wide DistilBERT on 16 × 64 tokens: forward, dX and dW of each. */
const stepShapes = [
  ...["1024x384x384,nt,bias", "1024x384x1536,nt,bias,gelu", "1024x1536x384,nt,bias"],
  ...["1024x384x384,addend", "1024x384x1536,slope=gelu", "1024x1536x384,addend"],
  ...["384x1024x384,tn,sums", "1536x1024x384,tn,sums", "384x1024x1536,tn,sums"],
];

const benchShapes = [
  ...stepShapes,
  ...[
    "512x512x512",
    "512x512x512,nt",
    "512x512x512,tn",
    "1024x768x768",
    "1024x768x768,f16",
    "1024x384x384,nt,mixed",
  ],
  ...[
    "1024x384x384,nt,bias,second=16",
    "1024x384x384,addend,second=16",
    "1024x384x384,addend,second=16,dropout",
  ],
  ...["1024x384x16,nt", "16x1024x384,tn", "64x64x64,nt,batch=96", "64x8192x64"],
];

const layouts = ["nn", "nt", "tn", "tt"] as const;
const checkShapes = [
  ...["1x1x1", "3x5x17", "17x3x5", "33x17x3", "1x8x33", "33x8x1", "5x1x5", "64x0x8"],
  ...["65x33x65", "36x12x40", "129x36x132", "68x64x64"].flatMap((sizes) =>
    layouts.map((way) => `${sizes},${way}`),
  ),
  ...["36x12x40,offset=1", "36x12x40,nt,offset=4", "36x12x40,tn,offset=3"],
  ...["33x12x20,batch=5", "16x8x16,nt,batch=6", "7x5x3,tn,batch=3", "32x32x32,batch=4"],
  ...[
    "33x17x9,bias",
    "36x40x44,nt,bias",
    "36x40x44,nt,bias,gelu",
    "33x17x9,bias,gelu",
    "36x8x12,quick_gelu",
    "5x9x7,relu",
  ],
  ...[
    "36x40x44,addend",
    "33x17x9,addend",
    "36x40x44,slope=gelu",
    "33x17x9,slope=gelu",
    "36x8x12,slope=quick_gelu",
    "5x9x7,slope=relu",
  ],
  ...[
    "36x40x44,tn,sums",
    "33x17x9,tn,sums",
    "1024x24x16,nt",
    "16x1024x24,tn",
    "12x2048x12",
    "20x1024x33,nt,bias",
    "20x24x12,batch=256",
  ],
  ...["36x40x44,scale", "33x17x9,nt,scale", "12x2048x12,scale"],
  ...["36x40x44,nt,bias,second=8", "68x36x132,second=16,addend,dropout"],
  ...["33x17x9,nt,bias,second=3", "33x17x9,second=5,addend,dropout"],
  ...[
    "36x40x44,f16",
    "33x17x9,nt,f16,bias",
    "36x40x44,nt,mixed,bias,gelu",
    "36x40x44,mixed,addend",
    "40x64x36,tn,f16,sums",
  ],
];

const entry: LabEntry<MatmulProblem> = {
  ladder: matmulLadder,
  summary:
    "y = a · b (+ bias), then gelu, the addition of a tensor, or the product with gelu's derivative at a tensor",
  reference: "torch.matmul, torch.nn.functional.linear",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload(shape) {
    const text = parse(shape);
    const { m, k, n, batch, types } = text;
    const a = operand(text, m, k, text.layout[0] === "t", types[0]);
    const b = operand(text, k, n, text.layout[1] === "t", types[1]);
    const results = batch * m * n;
    const size = (dtype: Dtype) => (dtype === "f16" ? 2 : 4);
    const written = 1 + (text.activation || text.slope || text.addend ? 1 : 0);
    return {
      shape,
      flop: 2 * results * (k + text.second),
      bytes: batch * (m * k * size(types[0]) + k * n * size(types[1])) + written * results * size(types[2]),
      problem: problemOf(a.like, b.like, types[2]),
      prepare(device) {
        const inputs = new Inputs(device);
        const make = (
          { stored, like, transposed }: typeof a,
          seed: number,
        ): { view: () => Tensor; host: HostArray } => {
          const data = numbers(numel(stored), seed, like.dtype);
          const padded = new Float32Array(data.length + text.offset);
          padded.set(data, text.offset);
          const whole = inputs.tensor(padded, [padded.length], like.dtype);
          const [rows, columns] = stored.slice(-2) as [number, number];
          const plain = transposed ? swapped(data, rows, columns) : data;
          return { view: () => view(whole, like), host: { shape: like.shape, data: plain } };
        };
        const [left, right] = [make(a, 1), make(b, 2)];
        const biasData = text.bias ? numbers(n, 3, types[1]) : null;
        const bias = biasData && inputs.tensor(biasData, [n], types[1]);
        const extraData = text.addend || text.slope ? numbers(results, 4, types[2], 2) : null;
        const extra = extraData && inputs.tensor(extraData, [results], types[2]);
        const second = text.second > 0 ? secondPair(text, inputs) : null;
        const half = types[2] === "f16";
        return inputs.prepared(
          () => {
            const x = left.view();
            const made = productParts(x, right.view(), {
              bias,
              addend: text.addend ? extra : null,
              ...(text.scale ? { scale: SCALE } : {}),
              second: second?.pair() ?? null,
              activation: text.activation,
              keepBefore: text.activation !== null,
              slope: text.slope && { activation: text.slope, at: extra! },
              rowSums: text.sums,
              dtype: types[2],
            });
            // A kernel need not make the sums; what the op does then is not what is measured here.
            const sums = made.rowSums ?? (text.sums ? sum(x, 1) : null);
            return { y: made.y, ...(made.before ? { before: made.before } : {}), ...(sums ? { sums } : {}) };
          },
          () => expected(text, left.host, right.host, biasData, extraData, second?.expected() ?? null),
          half ? { rtol: 2 ** -9, atol: 2e-3 + 1e-7 * k } : { rtol: 1e-5, atol: 2e-6 + 1e-7 * k },
        );
      },
    };
  },
  contract: {
    description: [
      "y[batch, row, column] = the sum over k of a[batch, row, k] · b[batch, k, column], begun with bias_at(column).",
      "Write each element with store(batch, row, column, sum): it also does what is to follow (gelu, an addend).",
      "Bindings: 1 a (TA), 2 b (TB), 3 bias (TBIAS), 4 y (TY), 5 extra; each type is f32 or f16, sums are taken in f32.",
      "Sizes params.m, params.n, params.k. Element (row, k) of a is a[batch_starts(batch).x + row * params.a_row + k * params.a_k],",
      "element (k, column) of b is b[batch_starts(batch).y + k * params.b_k + column * params.b_column]; batch = params.first_batch + z.",
      "Grid: ceil(n / GROUP_COLUMNS) x ceil(m / GROUP_ROWS) x batch workgroups; declare both as const u32.",
    ],
    provided,
    template: naive,
  },
};

function view(whole: Tensor, like: Operand): Tensor {
  return new Tensor(whole.storage, like.shape, like.strides, like.offset, whole.dtype);
}

export const entries: readonly LabEntry[] = [entry as LabEntry];
