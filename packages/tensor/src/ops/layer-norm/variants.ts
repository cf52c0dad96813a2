import type { Device } from "../../device/device.js";
import inputSum from "../add-layer-norm/input-sum.wgsl";
import { chooseRowVariant, type RowVariant, rowKernels, rowRule } from "../rows/variants.js";
import forwardNaive from "./1-naive.wgsl";
import forwardWorkgroup from "./2-workgroup.wgsl";
import forwardSubgroup from "./3-subgroup.wgsl";
import forwardOnline from "./4-online.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardWorkgroup from "./backward/2-workgroup.wgsl";
import backwardSubgroup from "./backward/3-subgroup.wgsl";
import backwardParams from "./backward/params.wgsl";
import inputPlain from "./input-plain.wgsl";
import forwardParams from "./params.wgsl";

/** Programs of a step: layer norm, layer norm of a sum, and the gradient of what was normalised (the same for both). */
export type LayerNormPart = "forward" | "forwardSum" | "backward";

function kernels(step: string, forward: string, backward: string) {
  return rowKernels<LayerNormPart>(
    "layer_norm",
    step,
    { forward, forwardSum: forward, backward },
    {
      forward: [forwardParams, inputPlain],
      forwardSum: [forwardParams, inputSum],
      backward: [backwardParams],
    },
  );
}

/** The ladder of layer norm, from the simplest to the fastest; each step has a forward and a backward. */
export const variants: readonly RowVariant<LayerNormPart>[] = [
  {
    name: "1-naive",
    kernels: kernels("1-naive", forwardNaive, backwardNaive),
    requires: [],
    workgroup: 64,
    rowsPerGroup: 64,
    note: "a row an invocation",
  },
  {
    name: "2-workgroup",
    kernels: kernels("2-workgroup", forwardWorkgroup, backwardWorkgroup),
    requires: [],
    workgroup: 64,
    rowsPerGroup: 1,
    note: "a row a workgroup, trees in workgroup memory",
  },
  {
    name: "3-subgroup",
    kernels: kernels("3-subgroup", forwardSubgroup, backwardSubgroup),
    requires: ["subgroups"],
    workgroup: 64,
    rowsPerGroup: 1,
    note: "a row a workgroup, reduced by subgroups",
  },
  {
    name: "4-online",
    kernels: kernels("4-online", forwardOnline, backwardNaive),
    requires: [],
    workgroup: 64,
    rowsPerGroup: 64,
    note: "a row an invocation, one pass before the result; backward is step 1's",
  },
];

/**
 * The variant set in `device.variants` for "layer_norm", else by a static rule: a software driver, where barriers are dear,
 * gets step 4; GPUs get step 3 if they have subgroups, else step 2.
 */
export function chooseVariant(device: Device): RowVariant<LayerNormPart> {
  return chooseRowVariant(device, "layer_norm", variants, rowRule(device));
}
