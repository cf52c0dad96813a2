import type { Device } from "../../device/device.js";
import type { Kernel } from "../../device/kernel.js";
import { KernelError } from "../../errors.js";
import lanes1 from "./lanes-1.wgsl";
import lanes4 from "./lanes-4.wgsl";
import subgroup from "./subgroup.wgsl";
import workgroup from "./workgroup.wgsl";

/** One program in its two forms: for rows read one element at a time, and four. */
export interface RowKernel {
  readonly 1: Kernel;
  readonly 4: Kernel;
}

/** One step of the ladder of an op that works on rows (softmax, layer norm). `Part` names its programs. */
export interface RowVariant<Part extends string> {
  readonly name: string;
  readonly kernels: Readonly<Record<Part, RowKernel>>;
  readonly requires: readonly "subgroups"[];
  /** Invocations of a workgroup. */
  readonly workgroup: number;
  /** Rows a workgroup works on. */
  readonly rowsPerGroup: number;
  /** What the step does. */
  readonly note: string;
}

/**
 * Makes the programs of a step out of its files. The step's name says what it reduces with.
 * @param shared further files that a part's program needs
 */
export function rowKernels<Part extends string>(
  op: string,
  step: string,
  files: Readonly<Record<Part, string>>,
  shared?: Readonly<Record<Part, readonly string[]>>,
): Record<Part, RowKernel> {
  const subgroups = step.endsWith("subgroup");
  const reduction = subgroups ? [subgroup] : step.endsWith("workgroup") ? [workgroup] : [];
  const made = {} as Record<Part, RowKernel>;
  for (const part of Object.keys(files) as Part[]) {
    const form = (lanes: 1 | 4): Kernel => ({
      name: `${op}/${part}/${step}/${lanes}`,
      source: files[part],
      snippets: [lanes === 1 ? lanes1 : lanes4, ...reduction, ...(shared?.[part] ?? [])],
      requires: subgroups ? ["subgroups"] : [],
    });
    made[part] = { 1: form(1), 4: form(4) };
  }
  return made;
}

/**
 * Static choice among the steps that softmax and layer norm share. On llvmpipe a row of 128 took 0.6 us an invocation and
 * 5 us a workgroup: a barrier suspends all 64 invocations of it, one after the other.
 */
export function rowRule(device: Device): "2-workgroup" | "3-subgroup" | "4-online" {
  if (device.info.isFallbackAdapter) return "4-online";
  return device.features.has("subgroups") ? "3-subgroup" : "2-workgroup";
}

/**
 * The variant set in `device.variants` for `op`, else the one that the static `rule` names.
 * @throws KernelError if the variant asked for does not exist or cannot run on the device
 */
export function chooseRowVariant<Part extends string>(
  device: Device,
  op: string,
  variants: readonly RowVariant<Part>[],
  rule: string,
): RowVariant<Part> {
  const can = (variant: RowVariant<Part>) =>
    variant.requires.every((feature) => device.features.has(feature));
  const wanted = device.variants.get(op) ?? rule;
  const found = variants.find((variant) => variant.name === wanted);
  if (found && can(found)) return found;
  const reason = found
    ? `needs ${found.requires.join(", ")}, which this adapter does not have`
    : "does not exist";
  const names = variants.filter(can).map((variant) => variant.name);
  throw new KernelError(`${op}: variant ${wanted} ${reason}. Here these can run: ${names.join(", ")}.`);
}
