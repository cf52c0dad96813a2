import type { Device } from "../../device/device.js";
import type { Kernel } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import type { LadderStep, OwnKernel } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import lanes1 from "./lanes-1.wgsl";
import lanes4 from "./lanes-4.wgsl";
import subgroup from "./subgroup.wgsl";
import workgroup from "./workgroup.wgsl";

/** One program in its two forms: for rows read one element at a time, and four. */
export interface RowKernel {
  readonly 1: Kernel;
  readonly 4: Kernel;
}

/** A step of a ladder over rows (softmax, layer norm). */
export interface RowStep<Problem> extends LadderStep<Problem> {
  readonly kernels: RowKernel;
  /** Rows a workgroup works on. */
  rowsPerGroup(device: Device): number;
}

/** What invocations share a row with: nothing, a workgroup (by a tree or by its subgroups), or their subgroup. */
export type RowSharing = "none" | "tree" | "subgroups" | "one subgroup";

/** Rows of a workgroup of 64 invocations: as many as it has subgroups where each takes a row, else as the file declares. */
function groupRows(sharing: RowSharing, file: OwnKernel): (device: Device) => number {
  if (sharing === "one subgroup") return (device) => 64 / device.subgroupSize;
  const rows = constantOf(file, "GROUP_ROWS", 1);
  return () => rows;
}

/** What the adapter lacks for invocations to share a row in this way. */
function lacks(sharing: RowSharing, device: Device): string | null {
  if (sharing === "subgroups" && !device.features.has("subgroups")) return "subgroups";
  if (sharing === "one subgroup" && (device.subgroupSize === 0 || device.subgroupSize > 64))
    return "subgroups of one size that is known";
  return null;
}

/** A problem of a ladder over rows. */
export interface RowProblem {
  /** How far apart the elements of a row lie; 1 if not given. */
  readonly inner?: number;
  readonly dtype: Dtype;
}

/** Why a step does not take a problem. @param apart whether it takes rows whose elements lie apart */
function refuses(problem: RowProblem, device: Device, apart: boolean): string | null {
  if (problem.dtype === "f16" && !device.features.has("shader-f16")) return "f16, which the adapter lacks";
  return !apart && (problem.inner ?? 1) > 1 ? "rows whose elements lie apart" : null;
}

/**
 * The maker of a ladder's steps, each out of its file.
 * @param op of the ladder
 * @param shared WGSL before each file, for rows read one element at a time or four: parameters, bindings
 */
export function rowSteps<Problem extends RowProblem>(
  op: string,
  shared: (lanes: 1 | 4) => readonly string[],
) {
  return (name: string, idea: string, file: string, sharing: RowSharing): RowStep<Problem> => {
    const reduction = sharing === "tree" ? [workgroup] : sharing === "subgroups" ? [subgroup] : [];
    const form = (lanes: 1 | 4): Kernel => ({
      name: `${op}/${name}/${lanes}`,
      source: file,
      snippets: [lanes === 1 ? lanes1 : lanes4, ...reduction, ...shared(lanes)],
      requires: sharing === "subgroups" || sharing === "one subgroup" ? ["subgroups"] : [],
    });
    return {
      name,
      idea,
      kernels: { 1: form(1), 4: form(4) },
      rowsPerGroup: groupRows(sharing, { name, source: file }),
      needs: (device) => lacks(sharing, device),
      fits: (problem, device) => refuses(problem, device, sharing === "none"),
    };
  };
}

/** Numbers the users' kernels, so that two files of one name do not share a pipeline. */
let owned = 0;

/** Name of a user's kernel in errors and profiles, and the features that its text uses. */
export function ownKernelHead(op: string, kernel: OwnKernel): Pick<Kernel, "name" | "requires"> {
  owned++;
  const subgroups = /\bsubgroup[A-Z]|\bsubgroup_/.test(kernel.source.replace(/\/\/.*$/gm, ""));
  return { name: `${op}/${kernel.name}#${owned}`, requires: subgroups ? ["subgroups"] : [] };
}

/** Makes a step of a user's kernel, which declares `const GROUP_ROWS`. */
export function ownRowStep<Problem extends RowProblem>(
  op: string,
  kernel: OwnKernel,
  shared: (lanes: 1 | 4) => readonly string[],
): RowStep<Problem> {
  const head = ownKernelHead(op, kernel);
  const rows = constantOf(kernel, "GROUP_ROWS");
  const form = (lanes: 1 | 4): Kernel => ({
    ...head,
    name: `${head.name}/${lanes}`,
    source: kernel.source,
    snippets: [lanes === 1 ? lanes1 : lanes4, ...shared(lanes)],
  });
  return {
    name: kernel.name,
    idea: "yours",
    kernels: { 1: form(1), 4: form(4) },
    rowsPerGroup: () => rows,
    needs: (device) => lacks(head.requires!.length > 0 ? "subgroups" : "none", device),
    fits: (problem, device) => refuses(problem, device, false),
  };
}

/** Elements of a row up to which a subgroup is enough for it. */
const SUBGROUP_ROW = 2048;

/**
 * Which way of sharing rows suits the adapter. On llvmpipe a row of 128 took 0.6 us an invocation and 5 us a workgroup: a
 * barrier suspends all 64 invocations of it, one after the other.
 */
export function rowRule(device: Device, length: number): { sharing: RowSharing; why: string } {
  if (device.info.isFallbackAdapter) {
    return { sharing: "none", why: "a processor: barriers are dear, so a row an invocation" };
  }
  if (!device.features.has("subgroups")) return { sharing: "tree", why: "no subgroups" };
  const known = lacks("one subgroup", device) === null;
  if (known && length <= SUBGROUP_ROW)
    return { sharing: "one subgroup", why: "rows short enough for a subgroup" };
  return {
    sharing: "subgroups",
    why: known ? "rows too long for one subgroup" : "subgroups of varying size",
  };
}
