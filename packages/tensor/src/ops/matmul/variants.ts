import type { Device } from "../../device/device.js";
import type { Kernel } from "../../device/kernel.js";
import { KernelError } from "../../errors.js";
import naive from "./1-naive.wgsl";
import tile from "./2-tile.wgsl";
import register from "./3-register.wgsl";
import subgroup from "./4-subgroup.wgsl";
import accumulate from "./accumulate.wgsl";
import blocksStrided from "./blocks-strided.wgsl";
import blocksVec4 from "./blocks-vec4.wgsl";
import params from "./params.wgsl";

/** One product y[batch, m, n] = a[batch, m, k] · b[batch, k, n], as the choice of a variant sees it. */
export interface Problem {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** One step of the ladder. */
export interface Variant {
  readonly name: string;
  /** The kernel for operands that fit vec4 loads, and the one for any others; the same where a step has but one form. */
  readonly kernels: { readonly vec4: Kernel; readonly strided: Kernel };
  readonly requires: readonly ("subgroups" | "shader-f16")[];
  /** True if the kernel can write the sum of each row of a beside the product: see `row-sums.wgsl`. */
  readonly sumsRows: boolean;
  /** Invocations of a workgroup, rows and columns of y that one workgroup makes, and the WGSL constants that say so. */
  launch(device: Device): Launch;
  /** Null if the device can run it, else the reason why not. */
  refuses(device: Device): string | null;
  /** What the step adds to the one before. */
  readonly note: string;
}

/** How a variant is dispatched on one device. */
export interface Launch {
  readonly workgroup: readonly [number, number];
  readonly rows: number;
  readonly columns: number;
  readonly constants: Readonly<Record<string, number>>;
}

/** Smallest and largest subgroup of the adapter; zeros where it has none. */
function subgroupSizes(device: Device): { min: number; max: number } {
  if (!device.features.has("subgroups")) return { min: 0, max: 0 };
  const info = device.info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
  return { min: info.subgroupMinSize ?? 0, max: info.subgroupMaxSize ?? 0 };
}

function simple(name: string, source: string): Variant["kernels"] {
  const kernel: Kernel = { name: `matmul/${name}`, source, snippets: [params] };
  return { vec4: kernel, strided: kernel };
}

function blocks(name: string, source: string, requires: Variant["requires"] = []): Variant["kernels"] {
  return {
    vec4: { name: `matmul/${name}`, source, snippets: [params, blocksVec4, accumulate], requires },
    strided: {
      name: `matmul/${name}-strided`,
      source,
      snippets: [params, blocksStrided, accumulate],
      requires,
    },
  };
}

/** The ladder, from the simplest to the fastest. */
export const variants: readonly Variant[] = [
  {
    name: "1-naive",
    kernels: simple("1-naive", naive),
    requires: [],
    sumsRows: false,
    launch: () => ({ workgroup: [16, 16], rows: 16, columns: 16, constants: {} }),
    refuses: () => null,
    note: "one element of y an invocation",
  },
  {
    name: "2-tile",
    kernels: simple("2-tile", tile),
    requires: [],
    sumsRows: false,
    launch: () => ({ workgroup: [16, 16], rows: 16, columns: 16, constants: {} }),
    refuses: () => null,
    note: "tiles of 16 x 16 in workgroup memory: a sixteenth of the storage reads",
  },
  {
    name: "3-register",
    kernels: blocks("3-register", register),
    requires: [],
    sumsRows: false,
    launch: () => ({ workgroup: [8, 8], rows: 64, columns: 64, constants: { WIDTH: 8, HEIGHT: 8 } }),
    refuses: () => null,
    note: "8 x 8 elements an invocation in registers, vec4 loads, no barriers",
  },
  {
    name: "4-subgroup",
    kernels: blocks("4-subgroup", subgroup, ["subgroups"]),
    requires: ["subgroups"],
    sumsRows: true,
    launch(device) {
      const { min, max } = subgroupSizes(device);
      const lanes = min >= 8 ? 8 : 4;
      const workgroup = Math.max(max, lanes);
      const side = 4 * lanes;
      return {
        workgroup: [workgroup, 1],
        rows: side,
        columns: side * (workgroup / lanes),
        constants: { WORKGROUP: workgroup, LANES: lanes },
      };
    },
    refuses(device) {
      const { min, max } = subgroupSizes(device);
      if (max === 0) return "the device has no subgroups";
      if (min < 4) return `it needs subgroups of at least 4 lanes, this adapter may use ${min}`;
      return null;
    },
    note: "32 x 32 elements for 8 lanes: each lane loads a part, the subgroup hands it round",
  },
];

/**
 * The variant that computes `problem`: the one set in `device.variants` for "matmul", else by a static rule. The rule takes
 * the highest step that the adapter can run (step 4 with subgroups of 4 lanes or more, else step 3), and step 1 where so few
 * elements of y are wanted that most of a tile would be thrown away.
 * @throws KernelError if the variant asked for does not exist or cannot run here
 */
export function chooseVariant(device: Device, problem: Problem): Variant {
  const wanted = device.variants.get("matmul");
  if (wanted !== undefined) {
    const found = variants.find((variant) => variant.name === wanted);
    const reason = found?.refuses(device);
    if (found && !reason) return found;
    throw new KernelError(
      `matmul: variant ${wanted} ${found ? `cannot run on this adapter: ${reason}` : "does not exist"}. ` +
        `Here these can: ${variants
          .filter((v) => v.refuses(device) === null)
          .map((v) => v.name)
          .join(", ")}.`,
    );
  }
  const best = variants.findLast((variant) => variant.refuses(device) === null)!;
  const few =
    best.name === "4-subgroup"
      ? problem.m * Math.ceil(problem.n / 8) <= 4
      : Math.min(problem.m, problem.n) <= 8;
  return few ? variants[0]! : best;
}
