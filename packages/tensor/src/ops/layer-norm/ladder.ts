import type { Device } from "../../device/device.js";
import { gridFor, type Kernel, type Specialisation } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import philox from "../../random/philox.wgsl";
import { Tensor } from "../../tensor.js";
import branchDropout1 from "../add-layer-norm/branch-dropout-1.wgsl";
import branchDropout4 from "../add-layer-norm/branch-dropout-4.wgsl";
import branchPlain from "../add-layer-norm/branch-plain.wgsl";
import inputSum from "../add-layer-norm/input-sum.wgsl";
import outputDropped from "../add-layer-norm/output-dropped.wgsl";
import lanes1 from "../rows/lanes-1.wgsl";
import lanes4 from "../rows/lanes-4.wgsl";
import {
  ownKernelHead,
  ownRowStep,
  type RowKernel,
  type RowSharing,
  type RowStep,
  rowRule,
  rowSteps,
} from "../rows/step.js";
import forwardNaive from "./1-naive.wgsl";
import forwardWorkgroup from "./2-workgroup.wgsl";
import forwardSubgroup from "./3-subgroup.wgsl";
import forwardOnline from "./4-online.wgsl";
import forwardSubgroupRows from "./5-subgroup-rows.wgsl";
import forwardFourRows from "./6-four-rows.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardWorkgroup from "./backward/2-workgroup.wgsl";
import backwardSubgroup from "./backward/3-subgroup.wgsl";
import backwardSubgroupRows from "./backward/4-subgroup-rows.wgsl";
import backwardFourRows from "./backward/5-four-rows.wgsl";
import outputAdded from "./backward/output-added.wgsl";
import outputPlain from "./backward/output-plain.wgsl";
import backwardParams from "./backward/params.wgsl";
import columnsNaive from "./columns/1-naive.wgsl";
import columnsBlocks from "./columns/2-blocks.wgsl";
import columnsTotal from "./columns/2-total.wgsl";
import columnsStrip from "./columns/3-strip.wgsl";
import columnsParams from "./columns/params.wgsl";
import inputPlain from "./input-plain.wgsl";
import forwardParams from "./params.wgsl";

/** What is normalised: x; x, whose gradient is added to another (forward is that of x); x + residual; dropout(x) + residual. */
export type LayerNormInput = "plain" | "added" | "sum" | "dropped";

/** What the choice of a kernel may depend on. */
export interface LayerNormProblem {
  readonly rows: number;
  /** Elements of a row. */
  readonly length: number;
  readonly dtype: Dtype;
  readonly input: LayerNormInput;
}

/** A step with its program for each input. */
export interface LayerNormStep extends LadderStep<LayerNormProblem> {
  readonly programs: Readonly<Record<LayerNormInput, RowKernel>>;
  rowsPerGroup(device: Device): number;
}

function shapeClass({ rows, length, dtype, input }: LayerNormProblem): string {
  return `${sizeBucket(rows)}x${sizeBucket(length)},${dtype}${input === "plain" ? "" : `,${input}`}`;
}

/** Puts the program of each input together into one step. */
function together(make: (input: LayerNormInput) => RowStep<LayerNormProblem>): LayerNormStep {
  const plain = make("plain");
  const { name, idea, needs, fits, rowsPerGroup } = plain;
  const programs = {
    plain: plain.kernels,
    added: make("added").kernels,
    sum: make("sum").kernels,
    dropped: make("dropped").kernels,
  };
  return { name, idea, needs, ...(fits ? { fits } : {}), rowsPerGroup, programs };
}

/** Dropout reads its random words by element or by four: see the files. */
const branchDropout = { 1: branchDropout1, 4: branchDropout4 } as const;

const snippets = {
  forward: {
    plain: () => [forwardParams, inputPlain],
    added: () => [forwardParams, inputPlain],
    sum: () => [forwardParams, inputSum, branchPlain],
    dropped: (lanes: 1 | 4) => [philox, forwardParams, inputSum, branchDropout[lanes]],
  },
  backward: {
    plain: () => [backwardParams, outputPlain],
    added: () => [backwardParams, outputAdded],
    sum: () => [backwardParams, outputPlain],
    dropped: (lanes: 1 | 4) => [philox, backwardParams, outputDropped, branchDropout[lanes]],
  },
} as const;

function steps(op: "layer_norm" | "layer_norm.backward", part: "forward" | "backward") {
  const makers = {
    plain: rowSteps<LayerNormProblem>(op, snippets[part].plain),
    added: rowSteps<LayerNormProblem>(part === "backward" ? `${op}+added` : op, snippets[part].added),
    // The gradient of a sum is that of what was normalised: the same program.
    sum: rowSteps<LayerNormProblem>(part === "forward" ? `${op}+sum` : op, snippets[part].sum),
    dropped: rowSteps<LayerNormProblem>(`${op}+dropout`, snippets[part].dropped),
  };
  return (name: string, idea: string, file: string, sharing: RowSharing) =>
    together((input) => makers[input](name, idea, file, sharing));
}

function rule(names: Readonly<Record<RowSharing, string>>): Ladder<LayerNormProblem>["rule"] {
  return (device, { length }) => {
    const { sharing, why } = rowRule(device, length);
    return { step: names[sharing], why };
  };
}

const forward = steps("layer_norm", "forward");
const backward = steps("layer_norm.backward", "backward");

/** Layer norm, of x or of a sum. */
export const layerNormLadder: Ladder<LayerNormProblem, LayerNormStep> = {
  op: "layer_norm",
  steps: [
    forward("1-naive", "a row an invocation, three passes: mean, variance, result", forwardNaive, "none"),
    forward("2-workgroup", "a row a workgroup, trees in workgroup memory", forwardWorkgroup, "tree"),
    forward("3-subgroup", "a row a workgroup, reduced by subgroups", forwardSubgroup, "subgroups"),
    forward(
      "4-online",
      "a row an invocation, mean and variance in one pass (Welford)",
      forwardOnline,
      "none",
    ),
    forward("5-subgroup-rows", "a row a subgroup: no barrier", forwardSubgroupRows, "one subgroup"),
    forward(
      "6-four-rows",
      "four rows an invocation: weight and bias are read once for them",
      forwardFourRows,
      "none",
    ),
  ],
  rule: rule({
    none: "6-four-rows",
    tree: "2-workgroup",
    subgroups: "3-subgroup",
    "one subgroup": "5-subgroup-rows",
  }),
  shapeClass,
  own: (kernel) => together((input) => ownRowStep("layer_norm", kernel, snippets.forward[input])),
};

/** The gradient of what was normalised. */
export const layerNormBackwardLadder: Ladder<LayerNormProblem, LayerNormStep> = {
  op: "layer_norm.backward",
  steps: [
    backward("1-naive", "a row an invocation, two passes: both means, result", backwardNaive, "none"),
    backward("2-workgroup", "a row a workgroup, trees in workgroup memory", backwardWorkgroup, "tree"),
    backward("3-subgroup", "a row a workgroup, reduced by subgroups", backwardSubgroup, "subgroups"),
    backward("4-subgroup-rows", "a row a subgroup: no barrier", backwardSubgroupRows, "one subgroup"),
    backward(
      "5-four-rows",
      "four rows an invocation: the weight is read once for them",
      backwardFourRows,
      "none",
    ),
  ],
  rule: rule({
    none: "5-four-rows",
    tree: "2-workgroup",
    subgroups: "3-subgroup",
    "one subgroup": "4-subgroup-rows",
  }),
  shapeClass,
  own: (kernel) => together((input) => ownRowStep("layer_norm.backward", kernel, snippets.backward[input])),
};

/** Operands of the sums down the columns; lengths and offsets as tensors have them. */
export interface ColumnsCall {
  /** What was normalised, its gradient's counterpart, and mean and 1 / deviation of each row. */
  readonly h: Tensor;
  readonly dy: Tensor;
  readonly stats: Tensor;
  readonly dweight: Tensor;
  readonly dbias: Tensor;
  readonly rows: number;
  readonly length: number;
  readonly lanes: 1 | 4;
  readonly specialisation: Specialisation;
}

/** A way to sum the columns up. */
export interface ColumnsStep extends LadderStep<LayerNormProblem> {
  run(call: ColumnsCall): void;
}

/** A step of one dispatch: its file tells the columns of a workgroup. */
function oneDispatch(file: OwnKernel, head: Pick<Kernel, "name" | "requires">): (call: ColumnsCall) => void {
  const columns = constantOf(file, "GROUP_COLUMNS");
  const form = (lanes: 1 | 4): Kernel => ({
    ...head,
    name: `${head.name}/${lanes}`,
    source: file.source,
    snippets: [lanes === 1 ? lanes1 : lanes4, columnsParams],
  });
  const kernels = { 1: form(1), 4: form(4) };
  return ({ h, dy, stats, dweight, dbias, rows, length, lanes, specialisation }) => {
    h.device.run(kernels[lanes], {
      buffers: [h, dy, stats, dweight, dbias].map((tensor) => tensor.storage.buffer),
      params: [rows, length / lanes, h.offset / lanes, dy.offset / lanes],
      grid: gridFor(length / lanes, columns),
      specialisation,
    });
  };
}

const blocksKernels = {
  part: {
    1: { name: "layer_norm.columns/2-blocks/1", source: columnsBlocks, snippets: [lanes1] },
    4: { name: "layer_norm.columns/2-blocks/4", source: columnsBlocks, snippets: [lanes4] },
  },
  total: {
    1: { name: "layer_norm.columns/2-total/1", source: columnsTotal, snippets: [lanes1] },
    4: { name: "layer_norm.columns/2-total/4", source: columnsTotal, snippets: [lanes4] },
  },
} satisfies Record<string, Record<1 | 4, Kernel>>;

/** Invocations that the first of the two sums aims at: enough for a GPU, few enough that the second has little to add. */
const COLUMN_INVOCATIONS = 8192;

/** Two dispatches: blocks of rows, then the sum over the blocks. */
function inBlocks({ h, dy, stats, dweight, dbias, rows, length, lanes, specialisation }: ColumnsCall): void {
  const { device } = h;
  const width = length / lanes;
  const enough = Math.ceil(COLUMN_INVOCATIONS / Math.max(width, 1));
  const wanted = Math.max(1, Math.min(Math.ceil(rows / 8), enough));
  const blockRows = Math.ceil(rows / wanted);
  const blocks = blockRows === 0 ? 0 : Math.ceil(rows / blockRows);
  const parts = Tensor.empty(device, [blocks, 2, length], "f32");
  device.run(blocksKernels.part[lanes], {
    buffers: [h, dy, stats, parts].map((tensor) => tensor.storage.buffer),
    params: [rows, width, h.offset / lanes, dy.offset / lanes, blocks, blockRows],
    grid: gridFor(blocks * width, 64),
    specialisation,
  });
  device.run(blocksKernels.total[lanes], {
    buffers: [parts, dweight, dbias].map((tensor) => tensor.storage.buffer),
    params: [width, blocks],
    grid: gridFor(width, 64),
    specialisation,
  });
  parts.dispose();
}

const halfMissing = ({ dtype }: LayerNormProblem, device: Device) =>
  dtype === "f16" && !device.features.has("shader-f16") ? "f16, which the adapter lacks" : null;

/** The gradients of weight and bias. */
export const layerNormColumnsLadder: Ladder<LayerNormProblem, ColumnsStep> = {
  op: "layer_norm.columns",
  steps: [
    {
      name: "1-naive",
      idea: "a column (or four) an invocation, down all rows; one dispatch, no barrier",
      needs: () => null,
      fits: halfMissing,
      run: oneDispatch({ name: "1-naive", source: columnsNaive }, { name: "layer_norm.columns/1-naive" }),
    },
    {
      name: "2-blocks",
      idea: "a column of a block of rows an invocation, then the sum over the blocks: two dispatches",
      needs: () => null,
      fits: halfMissing,
      run: inBlocks,
    },
    {
      name: "3-strip",
      idea: "four columns a workgroup of 256, which share the rows: one dispatch",
      needs: () => null,
      fits: halfMissing,
      run: oneDispatch({ name: "3-strip", source: columnsStrip }, { name: "layer_norm.columns/3-strip" }),
    },
  ],
  rule: (device) =>
    device.info.isFallbackAdapter
      ? { step: "1-naive", why: "a processor: few lanes, and barriers are dear" }
      : { step: "3-strip", why: "lanes enough on a GPU, one dispatch" },
  shapeClass,
  own(kernel) {
    const head = ownKernelHead("layer_norm.columns", kernel);
    return {
      name: kernel.name,
      idea: "yours",
      needs: (device) =>
        head.requires!.length > 0 && !device.features.has("subgroups") ? "subgroups" : null,
      run: oneDispatch(kernel, head),
    };
  },
};
