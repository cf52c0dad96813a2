import type { Device } from "../../device/device.js";
import type { Kernel } from "../../device/kernel.js";
import { KernelError } from "../../errors.js";
import philox from "../../random/philox.wgsl";
import attend from "./attend.wgsl";
import broadcast from "./broadcast.wgsl";
import deltaSource from "./delta.wgsl";
import dkvNaive from "./dkv/1-naive.wgsl";
import dkvWorkgroup from "./dkv/2-workgroup.wgsl";
import dkvSubgroup from "./dkv/3-subgroup.wgsl";
import dqNaive from "./dq/1-naive.wgsl";
import dqWorkgroup from "./dq/2-workgroup.wgsl";
import dqSubgroup from "./dq/3-subgroup.wgsl";
import dropout from "./dropout.wgsl";
import forwardNaive from "./forward/1-naive.wgsl";
import forwardWorkgroup from "./forward/2-workgroup.wgsl";
import forwardSubgroup from "./forward/3-subgroup.wgsl";
import noDropout from "./no-dropout.wgsl";
import problem from "./problem.wgsl";
import tile from "./tile.wgsl";

/** Name under which variants are chosen: `device.variants.set("scaledDotProductAttention", "2-workgroup")`. */
export const OP = "scaledDotProductAttention";

/** The three kernels of an attention: the output, the gradient of the queries, the gradients of keys and values. */
export type Stage = "forward" | "dq" | "dkv";

/** One step of the ladder. All three stages have it. */
export interface Variant {
  readonly name: string;
  /** The idea it adds to the step before. */
  readonly adds: string;
  readonly sources: Readonly<Record<Stage, string>>;
  readonly snippets: readonly string[];
  readonly requires: readonly "subgroups"[];
  /** Loads four values at once: the width of a head, offsets and strides must be multiples of 4. */
  readonly vec4: boolean;
  /** Invocations of a workgroup and rows (queries, or keys in `dkv`) that one workgroup covers. */
  readonly workgroup: (device: Device) => number;
  readonly rows: (device: Device) => number;
  /** Further constants of the text. */
  readonly constants: (device: Device) => Readonly<Record<string, number>>;
  /** Why the device cannot run it, or null. */
  readonly refuses: (device: Device) => string | null;
}

/** Rows of an invocation in the subgroup step. */
const ROWS = 2;

/** Smallest subgroup the adapter may use; 0 without subgroups. */
function smallestSubgroup(device: Device): number {
  if (!device.features.has("subgroups")) return 0;
  return (device.info as GPUAdapterInfo & { subgroupMinSize?: number }).subgroupMinSize ?? 0;
}

/** One subgroup a workgroup where subgroups are narrow, so that short sequences waste least; 32 lanes at most elsewhere. */
function subgroupWorkgroup(device: Device): number {
  return Math.min(32, Math.max(8, device.subgroupSize || 32));
}

export const ladder: readonly Variant[] = [
  {
    name: "1-naive",
    adds: "one query (or key) an invocation, softmax summed on the way, weights computed again in backward",
    sources: { forward: forwardNaive, dq: dqNaive, dkv: dkvNaive },
    snippets: [],
    requires: [],
    vec4: false,
    workgroup: () => 64,
    rows: () => 64,
    constants: () => ({}),
    refuses: () => null,
  },
  {
    name: "2-workgroup",
    adds: "tiles of 32 queries and 32 keys in workgroup memory, 4 x 4 scores an invocation",
    sources: { forward: forwardWorkgroup, dq: dqWorkgroup, dkv: dkvWorkgroup },
    snippets: [tile],
    requires: [],
    vec4: false,
    workgroup: () => 64,
    rows: () => 32,
    constants: () => ({}),
    refuses: () => null,
  },
  {
    name: "3-subgroup",
    adds: "queries in lanes, keys handed round by subgroup broadcast, no workgroup memory and no barrier",
    sources: { forward: forwardSubgroup, dq: dqSubgroup, dkv: dkvSubgroup },
    snippets: [broadcast],
    requires: ["subgroups"],
    vec4: true,
    workgroup: subgroupWorkgroup,
    rows: (device) => ROWS * subgroupWorkgroup(device),
    constants: (device) => ({ ROWS, WORKGROUP: subgroupWorkgroup(device) }),
    refuses: (device) =>
      smallestSubgroup(device) >= 8
        ? null
        : "it needs the feature subgroups, with subgroups of 8 lanes or more",
  },
];

/**
 * The variant to use: the one set in `device.variants` under the op's name (or the op's name, a slash and the stage), else the
 * last step of the ladder that the device can run and whose vec4 loads fit the width of the heads.
 * @throws KernelError if the one that was set cannot be run
 */
export function choose(device: Device, stage: Stage, width: number): Variant {
  const name = device.variants.get(`${OP}/${stage}`) ?? device.variants.get(OP);
  if (name === undefined) {
    return ladder.findLast((v) => v.refuses(device) === null && (!v.vec4 || width % 4 === 0)) ?? ladder[0]!;
  }
  const wanted = ladder.find((v) => v.name === name);
  if (!wanted)
    throw new KernelError(
      `${OP}: there is no variant "${name}"; there are ${ladder.map((v) => v.name).join(", ")}.`,
    );
  const reason =
    wanted.refuses(device) ??
    (wanted.vec4 && width % 4 !== 0 ? `heads ${width} wide are no multiple of 4` : null);
  if (reason)
    throw new KernelError(`${OP}: variant ${name} cannot be used: ${reason}. Choose 2-workgroup or 1-naive.`);
  return wanted;
}

const kernels = new Map<string, Kernel>();

/** The kernel of a stage; one with dropout has more text. */
export function kernelOf(variant: Variant, stage: Stage, dropped: boolean): Kernel {
  const name = `attention/${stage}/${variant.name}${dropped ? "+dropout" : ""}`;
  let kernel = kernels.get(name);
  if (!kernel) {
    const snippets = [problem, ...(dropped ? [philox, dropout] : [noDropout]), attend, ...variant.snippets];
    kernel = { name, source: variant.sources[stage], snippets, requires: variant.requires };
    kernels.set(name, kernel);
  }
  return kernel;
}

/** First step of backward: logsumexp and delta of each query. */
export const deltaKernel: Kernel = { name: "attention/delta", source: deltaSource, snippets: [problem] };
