import type { Device } from "../../device/device.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { bytesPerElement, type Dtype } from "../../dtype.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import { Tensor } from "../../tensor.js";
import { indexAdd, NOTHING } from "../indexing/chains.js";
import { rowLayout, specialise } from "../indexing/row-layout.js";
import { ownKernelHead } from "../rows/step.js";
import naive from "./backward/1-naive.wgsl";
import scan from "./backward/3-scan.wgsl";
import bits from "./backward/4-bits.wgsl";
import params from "./backward/params.wgsl";

/** What the choice of a kernel may depend on. */
export interface EmbeddingProblem {
  /** Rows of the table. */
  readonly rows: number;
  readonly width: number;
  /** Ids looked up. */
  readonly entries: number;
  /** Element type of dy. */
  readonly dtype: Dtype;
}

/** Operands of the gradient of a table. */
export interface EmbeddingCall {
  /** `[entries, width]`, without gaps. */
  readonly dy: Tensor;
  /** `entries` numbers, without gaps. */
  readonly ids: Tensor;
  readonly rows: number;
  /** Row that gets no gradient. */
  readonly paddingIdx: number | null;
  /** Element type of the table. */
  readonly dtype: Dtype;
}

/** A way to add up the gradient of a table `[rows, width]`. */
export interface EmbeddingStep extends LadderStep<EmbeddingProblem> {
  run(call: EmbeddingCall): Tensor;
}

const halfMissing = ({ dtype }: EmbeddingProblem, device: Device) =>
  dtype === "f16" && !device.features.has("shader-f16") ? "f16, which the adapter lacks" : null;

/** One dispatch of a kernel with the parameters of `params.wgsl`. @param clear whether it leaves rows without entries alone */
function dispatch(
  kernel: Kernel,
  { dy, ids, rows, paddingIdx, dtype }: EmbeddingCall,
  groups: number,
  clear: boolean,
): Tensor {
  const { device } = dy;
  const [entries, width] = dy.shape as [number, number];
  const dweight = clear
    ? Tensor.zeros(device, [rows, width], dtype)
    : Tensor.empty(device, [rows, width], dtype);
  const layout = rowLayout(width, dy.offset);
  const { wide } = layout;
  const written = (clear ? entries : rows) * width * bytesPerElement(dtype);
  device.run(kernel, {
    buffers: [dy, ids, dweight].map((tensor) => tensor.storage.buffer),
    params: [rows, entries, width / wide, dy.offset / wide, ids.offset, paddingIdx ?? NOTHING],
    grid: gridFor(width > 0 ? groups : 0, 1),
    specialisation: specialise(layout, dy.dtype, ids.dtype, dtype),
    cost: { flop: 0, bytes: entries * width * bytesPerElement(dy.dtype) + written },
  });
  return dweight;
}

/** A step that writes all rows: its file tells how many a workgroup takes. */
function byRows(kernel: Kernel, file: OwnKernel): EmbeddingStep["run"] {
  const groupRows = constantOf(file, "GROUP_ROWS");
  return (call) => dispatch(kernel, call, Math.ceil(call.rows / groupRows), false);
}

const scanKernel: Kernel = { name: "embedding.backward/3-scan", source: scan };
const bitsKernel: Kernel = { name: "embedding.backward/4-bits", source: bits, snippets: [params] };
const naiveKernel: Kernel = { name: "embedding.backward/1-naive", source: naive, snippets: [params] };

/** The chains of equal ids, found by looking through all of them. */
function chainsByScan(ids: Tensor, rows: number, skipped: number): Tensor {
  const count = ids.numel;
  const next = Tensor.empty(ids.device, [2 * count], "u32");
  ids.device.run(scanKernel, {
    buffers: [ids.storage.buffer, next.storage.buffer],
    params: [count, rows, ids.offset, skipped],
    grid: gridFor(count, 64),
    specialisation: { types: { I: ids.dtype } },
  });
  return next;
}

function alongChains(
  { dy, ids, rows, paddingIdx, dtype }: EmbeddingCall,
  chains?: typeof chainsByScan,
): Tensor {
  const [entries, width] = dy.shape as [number, number];
  const options = { skipped: paddingIdx, dtype, ...(chains ? { chains } : {}) };
  return indexAdd(dy.reshape([1, entries, width]), ids, rows, [rows, width], options);
}

/** Entries that the bits of step 4 have room for. */
const BITS = 16384;
/**
 * Entries up to which looking through all of them pays: on a software driver, and on a GPU. On llvmpipe 1,024 entries take 2 ms more
 * than lists do, for two dispatches less.
 */
const FEW = { software: 1024, gpu: 8192 };

/** The gradient of an embedding's table, deterministic also where ids repeat. */
export const embeddingBackwardLadder: Ladder<EmbeddingProblem, EmbeddingStep> = {
  op: "embedding.backward",
  steps: [
    {
      name: "1-naive",
      idea: "a row of the table a workgroup, which looks through all ids",
      needs: () => null,
      fits: halfMissing,
      run: byRows(naiveKernel, { name: "1-naive", source: naive }),
    },
    {
      name: "2-chains",
      idea: "only rows that are named: lists of equal ids by integer atomics, put in order",
      needs: () => null,
      fits: halfMissing,
      run: (call) => alongChains(call),
    },
    {
      name: "3-scan",
      idea: "lists by looking through all ids: no atomics, a dispatch less",
      needs: () => null,
      fits: halfMissing,
      run: (call) => alongChains(call, chainsByScan),
    },
    {
      name: "4-bits",
      idea: "an entry a workgroup, equal ids as bits in workgroup memory: one dispatch",
      needs: () => null,
      fits: (problem, device) =>
        problem.entries > BITS ? `more than ${BITS} entries` : halfMissing(problem, device),
      run: (call) => dispatch(bitsKernel, call, call.ids.numel, true),
    },
  ],
  rule(device, { entries }) {
    const software = device.info.isFallbackAdapter;
    if (entries > (software ? FEW.software : FEW.gpu)) return { step: "2-chains", why: "many entries" };
    return software
      ? { step: "3-scan", why: "few entries, and barriers are dear on a processor" }
      : { step: "4-bits", why: "few entries" };
  },
  shapeClass: ({ rows, width, entries, dtype }) =>
    `${sizeBucket(entries)}x${sizeBucket(rows)}x${sizeBucket(width)},${dtype}`,
  own(kernel) {
    const head = ownKernelHead("embedding.backward", kernel);
    return {
      name: kernel.name,
      idea: "yours",
      needs: (device) =>
        head.requires!.length > 0 && !device.features.has("subgroups") ? "subgroups" : null,
      run: byRows({ ...head, source: kernel.source, snippets: [params] }, kernel),
    };
  },
};
