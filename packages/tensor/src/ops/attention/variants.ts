import type { Device } from "../../device/device.js";
import type { Kernel, Specialisation } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import philox from "../../random/philox.wgsl";
import attend from "./attend.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardTogether from "./backward/3-together.wgsl";
import broadcast from "./broadcast.wgsl";
import deltaSource from "./delta.wgsl";
import dkvNaive from "./dkv/1-naive.wgsl";
import dkvWorkgroup from "./dkv/2-workgroup.wgsl";
import dkvSubgroup from "./dkv/3-subgroup.wgsl";
import dkvRegisters from "./dkv/4-registers.wgsl";
import dqNaive from "./dq/1-naive.wgsl";
import dqWorkgroup from "./dq/2-workgroup.wgsl";
import dqSubgroup from "./dq/3-subgroup.wgsl";
import dqRegisters from "./dq/4-registers.wgsl";
import dropout from "./dropout.wgsl";
import forwardNaive from "./forward/1-naive.wgsl";
import forwardWorkgroup from "./forward/2-workgroup.wgsl";
import forwardSubgroup from "./forward/3-subgroup.wgsl";
import forwardRegisters from "./forward/4-registers.wgsl";
import noDropout from "./no-dropout.wgsl";
import problemSource from "./problem.wgsl";
import tile from "./tile.wgsl";

/** Jobs of an attention: the output; the gradient of the queries; those of keys and values; all three gradients at once. */
export type Stage = "forward" | "dq" | "dkv" | "backward";

/** What the choice of a step may depend on. Letters as in `scaledDotProductAttention`. */
export interface AttentionProblem {
  readonly B: number;
  readonly H: number;
  readonly L: number;
  readonly S: number;
  readonly D: number;
  readonly dtype: "f32" | "f16";
  /** Element type of the mask; null without one. */
  readonly mask: "bool" | "f32" | "f16" | null;
  /** True if the mask differs from query to query. */
  readonly maskPerQuery: boolean;
  readonly isCausal: boolean;
  readonly dropout: boolean;
  /** Sequences one behind the other: `cuSeqlens`. */
  readonly packed: boolean;
}

/** One step of the ladder of a stage. */
export interface AttentionStep extends LadderStep<AttentionProblem> {
  /** No kernel of its own: the ladders of the parts, one after the other. */
  readonly apart?: boolean;
  /** Loads four values at once: offsets and strides must be multiples of 4. */
  readonly vec4: boolean;
  /** The program; one with dropout has more text. */
  kernel(dropout: boolean): Kernel;
  /** Rows (queries, or keys in `dkv`) that one workgroup covers; not asked for in `backward`, where it covers a head. */
  rows(device: Device): number;
  /** Further constants of the text. */
  constants(device: Device): Readonly<Record<string, number>>;
}

/** The text that every kernel of attention gets before its own. */
export function provided(withDropout: boolean): readonly string[] {
  return [problemSource, ...(withDropout ? [philox, dropout] : [noDropout]), attend];
}

const OPS = {
  forward: "attention",
  dq: "attention.dq",
  dkv: "attention.dkv",
  backward: "attention.backward",
} as const;

/**
 * Rows of an invocation in the subgroup step. Each makes llvmpipe compile longer; forward, the shortest program, can afford four
 * there.
 */
function subgroupRows(stage: Stage, device: Device): number {
  return stage === "forward" && device.subgroupSize === 8 ? 4 : 2;
}

/** Smallest subgroup the adapter may use; 0 without subgroups. */
function smallestSubgroup(device: Device): number {
  if (!device.features.has("subgroups")) return 0;
  return (device.info as GPUAdapterInfo & { subgroupMinSize?: number }).subgroupMinSize ?? 0;
}

/** One subgroup a workgroup where subgroups are narrow, so that short sequences waste least; 32 lanes at most elsewhere. */
function subgroupWorkgroup(device: Device): number {
  return Math.min(32, Math.max(8, device.subgroupSize || 32));
}

/** Invocations of a workgroup in the register step: few, so that short sequences waste little. */
const REGISTERS_WORKGROUP = 8;

type StepParts = Omit<AttentionStep, "kernel" | "needs"> & {
  readonly source: string;
  readonly snippets?: readonly string[];
  readonly requires?: Kernel["requires"];
  readonly needs?: AttentionStep["needs"];
};

function makeStep(
  prefix: string,
  { source, snippets = [], requires = [], needs, ...rest }: StepParts,
): AttentionStep {
  const programs = [false, true].map(
    (withDropout): Kernel => ({
      name: `${prefix}${rest.name}${withDropout ? "+dropout" : ""}`,
      source,
      snippets: [...provided(withDropout), ...snippets],
      requires,
    }),
  );
  return { ...rest, needs: needs ?? (() => null), kernel: (withDropout) => programs[withDropout ? 1 : 0]! };
}

const inFours = ({ D }: AttentionProblem) => (D % 4 === 0 ? null : `heads ${D} wide: no multiple of 4`);

function makeLadder(
  stage: Exclude<Stage, "backward">,
  sources: Readonly<Record<"naive" | "workgroup" | "subgroup" | "registers", string>>,
): Ladder<AttentionProblem, AttentionStep> {
  const op = OPS[stage];
  const row = stage === "dkv" ? "key" : "query";
  const steps = [
    {
      name: "1-naive",
      idea:
        stage === "forward"
          ? "one query an invocation, softmax summed on the way"
          : `one ${row} an invocation, weights computed again from the logsumexp`,
      source: sources.naive,
      vec4: false,
      rows: () => 64,
      constants: () => ({}),
    },
    {
      name: "2-workgroup",
      idea: "tiles of 32 queries and 32 keys in workgroup memory, 4 x 4 scores an invocation",
      source: sources.workgroup,
      snippets: [tile],
      vec4: false,
      rows: () => 32,
      constants: () => ({}),
    },
    {
      name: "3-subgroup",
      idea: "rows in lanes, the others handed round by subgroup broadcast; no workgroup memory, no barrier",
      source: sources.subgroup,
      snippets: [broadcast],
      requires: ["subgroups"],
      vec4: true,
      rows: (device: Device) => subgroupRows(stage, device) * subgroupWorkgroup(device),
      constants: (device: Device) => ({
        ROWS: subgroupRows(stage, device),
        WORKGROUP: subgroupWorkgroup(device),
        LANES: smallestSubgroup(device) >= 8 ? 8 : 4,
      }),
      needs: (device: Device) => (smallestSubgroup(device) >= 4 ? null : "subgroups of 4 lanes or more"),
      fits: inFours,
    },
    {
      name: "4-registers",
      idea: "2 x 8 or 4 x 4 pairs an invocation in matrices; nothing is shared, no subgroups and no barrier",
      source: sources.registers,
      vec4: true,
      rows: () => (stage === "dkv" ? 4 : 2) * REGISTERS_WORKGROUP,
      constants: () => ({ WORKGROUP: REGISTERS_WORKGROUP }),
      fits: inFours,
    },
  ] satisfies StepParts[];
  return {
    op,
    steps: steps.map((parts: StepParts) => makeStep(`${op}/`, parts)),
    rule(device, { D }) {
      const lanes = smallestSubgroup(device);
      if (D % 4 !== 0) return { step: "2-workgroup", why: "width no multiple of 4" };
      if (lanes >= 8) return { step: "3-subgroup", why: `subgroups of ${lanes} or more` };
      if (device.info.isFallbackAdapter)
        return {
          step: "4-registers",
          why: "a software adapter, where barriers and narrow subgroups are dear",
        };
      return { step: "2-workgroup", why: "no subgroups of 8 lanes" };
    },
    shapeClass,
    own: (kernel) => ownStep(op, kernel, constantOf(kernel, "GROUP_ROWS")),
  };
}

function shapeClass({
  B,
  H,
  L,
  S,
  D,
  dtype,
  mask,
  isCausal,
  dropout: dropped,
  packed,
}: AttentionProblem): string {
  const flags = [
    dtype,
    mask ?? "",
    isCausal ? "causal" : "",
    dropped ? "dropout" : "",
    packed ? "packed" : "",
  ];
  return [`${sizeBucket(B * H)}x${sizeBucket(L)}x${sizeBucket(S)}x${D}`, ...flags.filter(Boolean)].join(",");
}

/** A step of a user's file: one that binds arrays of vec4 gets offsets and strides in units of four. */
function ownStep(
  op: string,
  kernel: OwnKernel,
  rows: number,
  needs: AttentionStep["needs"] = () => null,
): AttentionStep {
  const text = kernel.source.replace(/\/\/.*$/gm, "");
  const subgroups = /\bsubgroup/.test(text);
  const vec4 = /array<\s*vec4/.test(text);
  return makeStep(`${op}/`, {
    name: kernel.name,
    idea: "your kernel",
    source: kernel.source,
    requires: subgroups ? ["subgroups"] : [],
    vec4,
    rows: () => rows,
    constants: () => ({}),
    needs: (device) => (subgroups && !device.features.has("subgroups") ? "subgroups" : needs(device)),
    ...(vec4 ? { fits: inFours } : {}),
  });
}

/** Storage buffers that all three gradients at once take. */
const TOGETHER_BUFFERS = 9;

/** Both parts of backward in turn, or one kernel for both. */
function makeBackwardLadder(): Ladder<AttentionProblem, AttentionStep> {
  const op = OPS.backward;
  const buffers = (device: Device) =>
    device.limits.maxStorageBuffersPerShaderStage < TOGETHER_BUFFERS
      ? `${TOGETHER_BUFFERS} storage buffers in a kernel`
      : null;
  const able = (device: Device) =>
    smallestSubgroup(device) < 8 ? "subgroups of 8 lanes or more" : buffers(device);
  return {
    op,
    steps: [
      makeStep(`${op}/`, {
        name: "1-naive",
        idea: "a workgroup a head, a query and then a key an invocation at a time",
        source: backwardNaive,
        vec4: false,
        rows: () => 1,
        constants: () => ({}),
        needs: buffers,
      }),
      makeStep(`${op}/`, {
        name: "2-apart",
        idea: "the kernels of attention.dq and attention.dkv, one after the other",
        apart: true,
        source: "",
        vec4: false,
        rows: () => 1,
        constants: () => ({}),
      }),
      makeStep(`${op}/`, {
        name: "3-together",
        idea: "one group of eight lanes a head: scores and weights are computed again once, not twice",
        source: backwardTogether,
        snippets: [broadcast],
        requires: ["subgroups"],
        vec4: true,
        rows: () => 1,
        constants: () => ({ LANES: 8 }),
        needs: able,
        fits: inFours,
      }),
    ],
    rule(device, problem) {
      if (!device.info.isFallbackAdapter)
        return { step: "2-apart", why: "a group of eight lanes a head would leave most of a GPU idle" };
      if (able(device) !== null || problem.D % 4 !== 0) return { step: "2-apart", why: "it always can" };
      if (problem.B * problem.H < 4) return { step: "2-apart", why: "too few heads" };
      return { step: "3-together", why: "a software adapter with subgroups of 8 or more" };
    },
    shapeClass,
    own: (kernel) => ownStep(op, kernel, 1, buffers),
  };
}

/** The ladder of each stage: `attention`, `attention.dq`, `attention.dkv`, `attention.backward`. */
export const ladders: Readonly<Record<Stage, Ladder<AttentionProblem, AttentionStep>>> = {
  forward: makeLadder("forward", {
    naive: forwardNaive,
    workgroup: forwardWorkgroup,
    subgroup: forwardSubgroup,
    registers: forwardRegisters,
  }),
  dq: makeLadder("dq", {
    naive: dqNaive,
    workgroup: dqWorkgroup,
    subgroup: dqSubgroup,
    registers: dqRegisters,
  }),
  dkv: makeLadder("dkv", {
    naive: dkvNaive,
    workgroup: dkvWorkgroup,
    subgroup: dkvSubgroup,
    registers: dkvRegisters,
  }),
  backward: makeBackwardLadder(),
};

/**
 * True if a kernel of `attention.dq` or `attention.dkv` was asked for and none of `attention.backward`: then the parts run, since
 * what was asked for would not run otherwise.
 */
export function partsAskedFor(device: Device): boolean {
  const asked = (op: string) => device.variants.has(op) || device.ownKernels.has(op);
  return !asked(OPS.backward) && (asked(OPS.dq) || asked(OPS.dkv));
}

/** Constants and types of a kernel for a problem. */
export function specialisation(
  step: AttentionStep,
  device: Device,
  problem: AttentionProblem,
): Specialisation {
  const mask: Dtype = problem.packed ? "i32" : (problem.mask ?? "f32");
  return {
    constants: {
      MASK: problem.mask === null ? 0 : problem.mask === "bool" ? 1 : 2,
      // Only steps that take four keys at once make a difference of it; elsewhere it would just compile the same program twice.
      MASK_PER_QUERY: step.vec4 && problem.mask === "bool" && problem.maskPerQuery,
      CAUSAL: problem.isCausal,
      PACKED: problem.packed,
      DROPOUT: problem.dropout,
      ...step.constants(device),
    },
    types: { T: problem.dtype, M: mask },
  };
}

/** First step of backward: logsumexp and delta of each query. */
export const deltaKernel: Kernel = {
  name: "attention.delta",
  source: deltaSource,
  snippets: [problemSource],
};
