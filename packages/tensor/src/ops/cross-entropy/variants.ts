import type { Device } from "../../device/device.js";
import type { Kernel } from "../../device/kernel.js";
import { KernelError } from "../../errors.js";
import tree from "../rows/workgroup.wgsl";
import forwardNaive from "./1-naive.wgsl";
import forwardWorkgroup from "./2-workgroup.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import backwardWorkgroup from "./backward/2-workgroup.wgsl";
import gradient from "./backward/gradient.wgsl";
import loss from "./loss.wgsl";
import outputs from "./outputs.wgsl";

/** One step of the ladder of cross entropy. */
export interface CrossEntropyVariant {
  readonly name: string;
  readonly forward: Kernel;
  readonly backward: Kernel;
  readonly requires: readonly "subgroups"[];
  /** Invocations of a workgroup. */
  readonly workgroup: number;
  /** Rows a workgroup works on. */
  readonly rowsPerGroup: number;
  /** What the step does. */
  readonly note: string;
}

/** The ladder, from the simplest on. */
export const variants: readonly CrossEntropyVariant[] = [
  {
    name: "1-naive",
    forward: { name: "cross_entropy/forward/1-naive", source: forwardNaive, snippets: [loss, outputs] },
    backward: { name: "cross_entropy/backward/1-naive", source: backwardNaive, snippets: [loss, gradient] },
    requires: [],
    workgroup: 64,
    rowsPerGroup: 64,
    note: "a row an invocation",
  },
  {
    name: "2-workgroup",
    forward: {
      name: "cross_entropy/forward/2-workgroup",
      source: forwardWorkgroup,
      snippets: [loss, outputs, tree],
    },
    backward: {
      name: "cross_entropy/backward/2-workgroup",
      source: backwardWorkgroup,
      snippets: [loss, gradient],
    },
    requires: [],
    workgroup: 64,
    rowsPerGroup: 1,
    note: "a row a workgroup, for many classes",
  },
];

/**
 * Classes from which a workgroup has enough to do with one row: on a GPU, and on a software driver, whose barriers are dear.
 * On llvmpipe, forward and backward in CPU ms, step 1 and step 2: 256x512 1.8 and 3.7, 1024x1000 7.7 and 14.5, 64x30522 17.9 and 14.1.
 */
const MANY_CLASSES = { gpu: 512, software: 16384 };

/**
 * The variant set in `device.variants` for "cross_entropy", else step 2 for many classes that lie side by side, else step 1.
 * @throws KernelError if the variant asked for does not exist
 */
export function chooseVariant(device: Device, classes: number, inner: number): CrossEntropyVariant {
  const many = device.info.isFallbackAdapter ? MANY_CLASSES.software : MANY_CLASSES.gpu;
  const rule = classes >= many && inner === 1 ? "2-workgroup" : "1-naive";
  const wanted = device.variants.get("cross_entropy") ?? rule;
  const found = variants.find((variant) => variant.name === wanted);
  if (found) return found;
  const names = variants.map((variant) => variant.name).join(", ");
  throw new KernelError(`cross_entropy: variant ${wanted} does not exist. There are ${names}.`);
}
