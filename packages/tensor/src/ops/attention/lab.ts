import { scope } from "../../autograd/modes.js";
import type { Device } from "../../device/device.js";
import { ValueError } from "../../errors.js";
import type { LabEntry, Workload } from "../../lab/entry.js";
import { Generator, NO_RANGE, type RandomRange, randomBlock } from "../../random/generator.js";
import { Tensor } from "../../tensor.js";
import { Inputs, parseShapeText } from "../rows/lab.js";
import { numbers } from "../rows/numbers.js";
import backwardNaive from "./backward/1-naive.wgsl";
import dkvNaive from "./dkv/1-naive.wgsl";
import dqNaive from "./dq/1-naive.wgsl";
import forwardNaive from "./forward/1-naive.wgsl";
import { type Call, flopOf, launch, launchDelta, type Sizes } from "./launch.js";
import { attentionReference, type ReferenceProblem, type ReferenceResult } from "./reference.js";
import { type AttentionProblem, ladders, provided, type Stage } from "./variants.js";

const FORMAT = "BxHxLxSxD[,mask|full|added|packed][,causal][,dropout][,f16]";
const FLAGS = ["mask", "full", "added", "packed", "causal", "dropout", "f16"];
/** Of 65,536 random numbers, those that drop a weight: p = 0.1. */
const DROP_BELOW = 6554;

interface Parsed extends Sizes {
  readonly text: string;
  readonly flags: ReadonlySet<string>;
  readonly dtype: "f32" | "f16";
}

/** @throws ValueError for a text that is not of the form */
function parse(text: string): Parsed {
  const { sizes, flags, dtype } = parseShapeText("attention", text, {
    format: FORMAT,
    sizes: [5],
    flags: FLAGS,
  });
  const [B, H, L, S, D] = sizes as [number, number, number, number, number];
  const masks = ["mask", "full", "added", "packed"].filter((flag) => flags.has(flag));
  if (masks.length > 1)
    throw new ValueError(`attention: the shape "${text}" has ${masks.join(" and ")}; only one can be.`);
  if (flags.has("packed") && L !== S)
    throw new ValueError(
      `attention: the shape "${text}" is packed, so that queries and keys must be as many (${L}, ${S}).`,
    );
  return { B, H, L, S, D, text, flags, dtype };
}

/** Lengths of packed sequences: at most `L`, half of that in the mean. */
const lengthOf = (b: number, L: number) => 1 + ((b * 37 + 11) % L);

/** Where each of the packed sequences begins, and one past the last's end. */
function cuSeqlensOf({ B, L }: Sizes): Int32Array {
  const starts = new Int32Array(B + 1);
  for (let b = 0; b < B; b++) starts[b + 1] = starts[b]! + lengthOf(b, L);
  return starts;
}

/** What is asked, in numbers: packed sequences are one row of all their tokens and some padding. */
interface Data extends Sizes {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
  readonly g: Float32Array;
  readonly scale: number;
  readonly isCausal: boolean;
  readonly dropBelow: number;
  readonly random: RandomRange;
  readonly dtype: "f32" | "f16";
  /** Values of the mask and its shape; null without one. */
  readonly mask: {
    readonly data: Float32Array | Uint8Array | Int32Array;
    readonly shape: readonly number[];
  } | null;
  readonly packed: boolean;
}

function dataOf({ text, flags, dtype, ...sizes }: Parsed): Data {
  const packed = flags.has("packed");
  const { H, D } = sizes;
  // The padding makes the number of tokens one that tiles do not divide.
  const tokens = packed ? cuSeqlensOf(sizes).at(-1)! + 9 : 0;
  const [B, L, S] = packed ? [1, tokens, tokens] : [sizes.B, sizes.L, sizes.S];
  const random = numbers(B * H * L * S, 5);
  let mask: Data["mask"] = null;
  if (packed) mask = { data: cuSeqlensOf(sizes), shape: [sizes.B + 1] };
  else if (flags.has("mask"))
    mask = {
      data: Uint8Array.from({ length: B * S }, (_, n) => (n % S < lengthOf(Math.floor(n / S), S) ? 1 : 0)),
      shape: [B, 1, 1, S],
    };
  else if (flags.has("full"))
    mask = { data: Uint8Array.from(random, (x) => (x > -0.3 ? 1 : 0)), shape: [B, H, L, S] };
  else if (flags.has("added"))
    mask = {
      data: numbers(H * L * S, 6, dtype).map((x) => (x > 0.8 ? Number.NEGATIVE_INFINITY : x)),
      shape: [1, H, L, S],
    };
  const dropout = flags.has("dropout");
  const of = (rows: number, seed: number, scale: number) => numbers(B * H * rows * D, seed, dtype, scale);
  return {
    ...{ B, H, L, S, D, dtype, mask, packed },
    q: of(L, 1, 2),
    k: of(S, 2, 2),
    v: of(S, 3, 1),
    g: of(L, 4, 1),
    scale: 1 / Math.sqrt(D),
    isCausal: flags.has("causal"),
    dropBelow: dropout ? DROP_BELOW : 0,
    random: dropout ? new Generator(7).next(B * H * L * Math.ceil(S / 8)) : NO_RANGE,
  };
}

/** What a mask adds to the score of a pair. */
function biasOf({ mask, packed, H, L, S }: Data): ReferenceProblem["bias"] {
  if (!mask) return () => 0;
  const { data, shape } = mask;
  if (packed) {
    const sequence = (n: number) => (data as Int32Array).findLastIndex((start) => start <= n);
    const of = Array.from({ length: L }, (_, n) => sequence(n));
    return (_b, _h, i, j) => (of[i] === of[j] && of[i]! < data.length - 1 ? 0 : Number.NEGATIVE_INFINITY);
  }
  const rows = shape[2]! > 1;
  const value = (b: number, h: number, i: number, j: number) =>
    data[rows ? (((shape[0] === 1 ? 0 : b) * H + h) * L + i) * S + j : b * S + j]!;
  if (data instanceof Float32Array) return value;
  return (b, h, i, j) => (value(b, h, i, j) ? 0 : Number.NEGATIVE_INFINITY);
}

function expectedOf(data: Data): ReferenceResult {
  const { H, L, S, dropBelow, random } = data;
  const groups = Math.ceil(S / 8);
  const kept = (b: number, h: number, i: number, j: number) => {
    if (dropBelow === 0) return 1;
    const words = randomBlock(random, ((b * H + h) * L + i) * groups + Math.floor(j / 8));
    const half = (words[Math.floor((j % 8) / 2)]! >>> (16 * (j % 2))) & 0xffff;
    return half >= dropBelow ? 65536 / (65536 - dropBelow) : 0;
  };
  return attentionReference({ ...data, bias: biasOf(data), kept });
}

/** A tensor [B, H, rows, D] in the memory order of a model's projections, [B, rows, H, D]. */
function asProjected(inputs: Inputs, data: Float32Array, rows: number, { B, H, D, dtype }: Data): Tensor {
  const turned = new Float32Array(data.length);
  for (let n = 0; n < data.length; n++) {
    const [d, i] = [n % D, Math.floor(n / D) % rows];
    const [h, b] = [Math.floor(n / (D * rows)) % H, Math.floor(n / (D * rows * H))];
    turned[((b * rows + i) * H + h) * D + d] = data[n]!;
  }
  return inputs.own(inputs.tensor(turned, [B, rows, H, D], dtype).transpose(1, 2));
}

const empty = (device: Device, { B, H, D }: Sizes, rows: number) =>
  Tensor.empty(device, [B, rows, H, D]).transpose(1, 2);

/** What a stage writes. */
const OUTPUTS: Readonly<Record<Stage, readonly (keyof ReferenceResult)[]>> = {
  forward: ["y"],
  dq: ["dq"],
  dkv: ["dk", "dv"],
  backward: ["dq", "dk", "dv"],
};

/** The problem as the ladder's choice sees it. */
function problemFor({ flags, dtype, ...sizes }: Parsed): AttentionProblem {
  const { H, D } = sizes;
  const packed = flags.has("packed");
  const tokens = packed ? cuSeqlensOf(sizes).at(-1)! + 9 : 0;
  const [B, L, S] = packed ? [1, tokens, tokens] : [sizes.B, sizes.L, sizes.S];
  const bool = flags.has("mask") || flags.has("full");
  return {
    ...{ B, H, L, S, D, dtype, packed },
    mask: bool ? "bool" : flags.has("added") ? dtype : null,
    maskPerQuery: (flags.has("full") || flags.has("added")) && L > 1,
    isCausal: flags.has("causal"),
    dropout: flags.has("dropout"),
  };
}

function workload(stage: Stage, text: string): Workload {
  const parsed = parse(text);
  const problem = problemFor(parsed);
  const { B, H, L, S, D } = problem;
  const rows = { forward: 2 * L + 2 * S, dq: 3 * L + 2 * S, dkv: 2 * L + 4 * S, backward: 3 * L + 4 * S }[
    stage
  ];
  return {
    shape: text,
    flop: flopOf(stage, problem, problem.packed ? parsed.B : 1),
    bytes: B * H * rows * D * (problem.dtype === "f16" ? 2 : 4),
    problem,
    prepare(device) {
      const inputs = new Inputs(device);
      const data = dataOf(parsed);
      const mask = data.mask ? inputs.own(Tensor.from(device, data.mask.data, [...data.mask.shape])) : null;
      const half = mask && data.dtype === "f16" && mask.dtype === "f32" ? inputs.own(mask.to("f16")) : mask;
      const { scale, isCausal, dropBelow, random, packed } = data;
      const call: Call = {
        attributes: { scale, isCausal, dropBelow, random, packed },
        q: asProjected(inputs, data.q, L, data),
        k: asProjected(inputs, data.k, S, data),
        v: asProjected(inputs, data.v, S, data),
        mask: half,
      };
      const logsumexp = inputs.own(Tensor.empty(device, [B, H, L]));
      const forward = (y: Tensor) => {
        launch("forward", call, [], [y, logsumexp]);
        return y;
      };
      const back: Call = stage === "forward" ? call : { ...call, g: asProjected(inputs, data.g, L, data) };
      let statistics: Tensor | null = null;
      if (stage !== "forward") {
        const ofForward = () => {
          const typed = forward(empty(device, data, L))
            .transpose(1, 2)
            .to(data.dtype)
            .transpose(1, 2);
          return launchDelta(back, typed, logsumexp).statistics;
        };
        statistics = inputs.own(scope(ofForward));
      }
      const run = (): Record<string, Tensor> => {
        if (!statistics) return { y: forward(empty(device, data, L)) };
        const names = OUTPUTS[stage];
        const made = names.map((name) => empty(device, data, name === "dq" ? L : S));
        launch(stage, back, [statistics], made);
        return Object.fromEntries(names.map((name, i) => [name, made[i]!]));
      };
      const expected = () => {
        const all = expectedOf(data);
        return Object.fromEntries(OUTPUTS[stage].map((name) => [name, all[name]]));
      };
      // Sums of D products and S weights in f32. y in f16 is rounded to 11 bits before the delta of backward is made of it.
      const rounded = stage !== "forward" && data.dtype === "f16";
      return inputs.prepared(
        run,
        expected,
        rounded ? { rtol: 5e-3, atol: 5e-3 } : { rtol: 2e-5, atol: 2e-5 },
      );
    },
  };
}

const benchShapes = [
  "16x12x64x64x32",
  "16x12x64x64x32,mask,dropout",
  "16x6x128x128x64",
  "2x12x512x512x32",
  "16x12x128x128x64",
  "32x12x64x64x32,packed,dropout",
];

const checkShapes = [
  ...["1x1x1x1x4", "2x3x7x7x64", "1x2x63x63x16", "2x2x64x64x64", "1x2x65x65x32", "1x1x130x130x32"],
  ...["1x2x3x70x16", "1x2x70x5x8", "1x2x20x40x80", "1x2x9x18x6", "3x2x40x40x32,mask", "2x2x35x50x16,full"],
  ...[
    "2x2x34x20x16,added",
    "1x2x70x70x16,causal",
    "1x2x5x40x16,causal",
    "1x2x40x5x16,causal",
    "3x2x20x20x16,mask,causal",
  ],
  ...[
    "2x2x20x27x16,dropout",
    "2x2x70x70x16,mask,dropout",
    "2x2x33x33x16,full,dropout",
    "1x2x40x40x6,dropout",
  ],
  ...[
    "5x2x40x40x16,packed",
    "3x1x30x30x8,packed,causal",
    "4x2x33x33x32,packed,dropout",
    "3x1x11x11x6,packed",
  ],
  ...[
    "2x2x40x40x32,f16",
    "2x2x18x20x16,added,f16",
    "2x2x40x40x32,mask,dropout,f16",
    "3x2x30x30x64,packed,f16",
  ],
];

/** Lines of the contract that all stages share. */
const common = [
  "Letters: B batch, H heads, L queries, S keys, D width (params.width). Rows begin at q_at, k_at, v_at(b, h, row): D elements, in",
  "units of four if the file binds arrays of vec4 (then D is a multiple of 4). T is f32 or f16, M the type of the mask.",
  "keys_of(i) and queries_of(j) give the span that may attend (CAUSAL, PACKED); masked() applies the mask (MASK 0, 1, 2), after",
  "which a score <= HIDDEN does not count; kept() is dropout's factor of a weight (DROPOUT).",
];
const rowGrid = (rows: string) =>
  `Grid: ceil(${rows} / GROUP_ROWS) x H x B workgroups; declare const GROUP_ROWS: u32, the rows a workgroup works on.`;

function entry(
  stage: Stage,
  { summary, description, template }: { summary: string; description: readonly string[]; template: string },
): LabEntry {
  const made: LabEntry<AttentionProblem> = {
    ladder: ladders[stage],
    summary,
    reference: `torch.nn.functional.scaled_dot_product_attention${stage === "forward" ? "" : ", its backward"}; packed: flash_attn_varlen_func`,
    shapeFormat: FORMAT,
    benchShapes,
    checkShapes,
    workload: (text) => workload(stage, text),
    contract: { description: [...description, ...common], provided: provided(true), template },
  };
  return made as LabEntry;
}

const statisticsLine =
  "statistics: (logsumexp, delta) of each query, delta = sum of y g over the width: weight = exp(score - logsumexp), and the gradient of a score = weight (g · v - delta).";

export const entries: readonly LabEntry[] = [
  entry("forward", {
    summary: "y = dropout(softmax(q kᵀ scale + mask)) v, and logsumexp of each query's scores",
    description: [
      "y [B, H, L, D] in f32 with rows at out_at(b, h, i); logsumexp at statistic(b, h, i), NOWHERE for a query without any key, whose",
      "y is 0.",
      rowGrid("L"),
    ],
    template: forwardNaive,
  }),
  entry("dq", {
    summary: "dq = (weights (dropout(g vᵀ) - delta)) k scale",
    description: [statisticsLine, "dq in f32 with rows at out_at(b, h, i).", rowGrid("L")],
    template: dqNaive,
  }),
  entry("dkv", {
    summary: "dk = (weights (dropout(g vᵀ) - delta))ᵀ q scale, dv = dropout(weights)ᵀ g",
    description: [statisticsLine, "dk and dv in f32, both with rows at out_at(b, h, j).", rowGrid("S")],
    template: dkvNaive,
  }),
  entry("backward", {
    summary: "dq, dk and dv in one kernel",
    description: [
      statisticsLine,
      "dq in f32 with rows at out_at(b, h, i); dk and dv with those of params.out2_batch, out2_head, out2_row. 9 storage buffers.",
      "Grid: 1 x H x B workgroups; with PACKED 1 x H x (sequences + 1), the last for the padding, whose rows are 0.",
    ],
    template: backwardNaive,
  }),
];
