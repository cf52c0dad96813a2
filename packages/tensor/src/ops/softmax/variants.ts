import type { Device } from "../../device/device.js";
import { chooseRowVariant, type RowVariant, rowKernels, rowRule } from "../rows/variants.js";
import forwardNaive from "./1-naive.wgsl";
import forwardWorkgroup from "./2-workgroup.wgsl";
import forwardSubgroup from "./3-subgroup.wgsl";
import forwardOnline from "./4-online.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardWorkgroup from "./backward/2-workgroup.wgsl";
import backwardSubgroup from "./backward/3-subgroup.wgsl";

/** The ladder of softmax and log-softmax, from the simplest to the fastest; each step has a forward and a backward. */
export const variants: readonly RowVariant<"forward" | "backward">[] = [
  {
    name: "1-naive",
    kernels: rowKernels("softmax", "1-naive", { forward: forwardNaive, backward: backwardNaive }),
    requires: [],
    workgroup: 64,
    rowsPerGroup: 64,
    note: "a row an invocation",
  },
  {
    name: "2-workgroup",
    kernels: rowKernels("softmax", "2-workgroup", { forward: forwardWorkgroup, backward: backwardWorkgroup }),
    requires: [],
    workgroup: 64,
    rowsPerGroup: 1,
    note: "a row a workgroup, trees in workgroup memory",
  },
  {
    name: "3-subgroup",
    kernels: rowKernels("softmax", "3-subgroup", { forward: forwardSubgroup, backward: backwardSubgroup }),
    requires: ["subgroups"],
    workgroup: 64,
    rowsPerGroup: 1,
    note: "a row a workgroup, reduced by subgroups; forward reads the row twice instead of three times",
  },
  {
    name: "4-online",
    kernels: rowKernels("softmax", "4-online", { forward: forwardOnline, backward: backwardNaive }),
    requires: [],
    workgroup: 64,
    rowsPerGroup: 64,
    note: "a row an invocation, one pass before the result; backward is step 1's",
  },
];

/**
 * The variant for rows whose elements are `inner` apart: the one set in `device.variants` for "softmax", else by a static
 * rule. Elements that lie apart go to step 4, whose neighbouring invocations then read neighbouring elements. A software
 * driver, where barriers are dear, gets step 4; GPUs get step 3 if they have subgroups, else step 2.
 */
export function chooseVariant(device: Device, inner: number): RowVariant<"forward" | "backward"> {
  return chooseRowVariant(device, "softmax", variants, inner > 1 ? "4-online" : rowRule(device));
}
