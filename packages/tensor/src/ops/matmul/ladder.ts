import type { Device } from "../../device/device.js";
import type { Kernel, KernelFeature } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import erf from "../elementwise/erf.wgsl";
import naive from "./1-naive.wgsl";
import tile from "./2-tile.wgsl";
import register from "./3-register.wgsl";
import subgroup from "./4-subgroup.wgsl";
import accumulate from "./accumulate.wgsl";
import activation from "./activation.wgsl";
import blocksStrided from "./blocks-strided.wgsl";
import blocksVec4 from "./blocks-vec4.wgsl";
import elements from "./elements.wgsl";
import epilogue from "./epilogue.wgsl";
import params from "./params.wgsl";

/** One product y[batch, m, n] = a[batch, m, k] · b[batch, k, n], as the choice of a step sees it. */
export interface MatmulProblem {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Which way a and b lie: `t` if the elements of a column of a (of b) are neighbours, `n` if those of a row. */
  readonly layout: "nn" | "nt" | "tn" | "tt";
  /** Element types of a, b and y. */
  readonly types: readonly [Dtype, Dtype, Dtype];
  /** True if both operands can be read as vec4s: see `blocks-vec4.wgsl`. */
  readonly vec4: boolean;
}

/** How a step is dispatched on one device. */
export interface Launch {
  /** Rows and columns of y that one workgroup makes. */
  readonly rows: number;
  readonly columns: number;
  /** WGSL constants that say so. */
  readonly constants: Readonly<Record<string, number>>;
}

/** One step of the ladder. */
export interface MatmulStep extends LadderStep<MatmulProblem> {
  /** The kernel for operands that fit vec4 loads, and the one for any others; the same where a step has but one form. */
  readonly kernels: { readonly vec4: Kernel; readonly strided: Kernel };
  /** True if the kernel can write the sum of each row of a beside the product: see `row-sums.wgsl`. */
  readonly sumsRows: boolean;
  /** True if one program is to serve all epilogues, because the kernel is dear to compile. */
  readonly oneProgram: boolean;
  launch(device: Device, problem: MatmulProblem): Launch;
}

/** What stands before every kernel that goes element by element: shown to users, whose own kernels get the same. */
export const provided: readonly string[] = [params, elements, epilogue, activation, erf];

const always = () => null;

function plain(name: string, idea: string, source: string): MatmulStep {
  const kernel: Kernel = { name: `matmul/${name}`, source, snippets: provided };
  const text = { name, source };
  const launch: Launch = {
    rows: constantOf(text, "GROUP_ROWS"),
    columns: constantOf(text, "GROUP_COLUMNS"),
    constants: {},
  };
  return {
    name,
    idea,
    kernels: { vec4: kernel, strided: kernel },
    sumsRows: false,
    oneProgram: false,
    needs: always,
    launch: () => launch,
  };
}

function blocks(
  name: string,
  source: string,
  requires: readonly KernelFeature[] = [],
): MatmulStep["kernels"] {
  const shared = [params, epilogue, activation, erf, accumulate];
  return {
    vec4: { name: `matmul/${name}`, source, snippets: [blocksVec4, ...shared], requires },
    strided: { name: `matmul/${name}-strided`, source, snippets: [blocksStrided, ...shared], requires },
  };
}

/** Lanes that work on one tile in `4-subgroup.wgsl`. */
const lanesOf = (device: Device) => (device.subgroupSize >= 8 ? 8 : 4);

const steps: readonly MatmulStep[] = [
  plain("1-naive", "one element of y an invocation", naive),
  plain("2-tile", "tiles of 16 x 16 in workgroup memory: a sixteenth of the storage reads", tile),
  {
    name: "3-register",
    idea: "8 x 8 elements an invocation in registers, vec4 loads, no barriers",
    kernels: blocks("3-register", register),
    sumsRows: false,
    oneProgram: false,
    needs: always,
    launch: () => ({ rows: 64, columns: 64, constants: { WIDTH: 8, HEIGHT: 8 } }),
  },
  {
    name: "4-subgroup",
    idea: "32 x 32 elements for 8 lanes: each lane loads a part, the subgroup hands it round",
    kernels: blocks("4-subgroup", subgroup, ["subgroups"]),
    sumsRows: true,
    oneProgram: true,
    needs: (device) => (device.subgroupSize >= 4 ? null : "subgroups of one size, of 4 lanes or more"),
    launch(device) {
      const lanes = lanesOf(device);
      const teams = device.subgroupSize / lanes;
      return {
        rows: 4 * lanes,
        columns: 4 * lanes * teams,
        constants: { LANES: lanes, TEAMS: teams, BLOCK: 8 },
      };
    },
  },
];

/**
 * Where nothing was measured: the highest step that the adapter can run (step 4 with subgroups of a known size, else
 * step 3), and step 1 where so few elements of y are wanted that most of a tile would be thrown away.
 */
function rule(device: Device, { m, n }: MatmulProblem): { step: string; why: string } {
  const subgroups = device.subgroupSize >= 4;
  const few = subgroups ? m * Math.ceil(n / 8) <= 4 : Math.min(m, n) <= 8;
  if (few) return { step: "1-naive", why: "so few elements that most of a tile would be thrown away" };
  return subgroups
    ? { step: "4-subgroup", why: `subgroups of ${device.subgroupSize}` }
    : { step: "3-register", why: "no subgroups of a known size" };
}

function shapeClass({ batch, m, n, k, layout, types, vec4 }: MatmulProblem): string {
  const sizes = [batch, m, k, n].map(sizeBucket).join("x");
  return [sizes, layout, types.join("-"), ...(vec4 ? [] : ["strided"])].join(",");
}

/** Numbers the users' kernels, so that two files of one name do not share a pipeline. */
let owned = 0;

/** A user's kernel. It declares GROUP_ROWS and GROUP_COLUMNS and uses what `provided` offers. */
function own(kernel: OwnKernel): MatmulStep {
  owned++;
  const made = plain(kernel.name, "yours", kernel.source);
  const subgroups = /\bsubgroup[A-Z]|\bsubgroup_/.test(kernel.source.replace(/\/\/.*$/gm, ""));
  const program: Kernel = {
    ...made.kernels.strided,
    name: `matmul/${kernel.name}#${owned}`,
    requires: subgroups ? ["subgroups"] : [],
  };
  return {
    ...made,
    kernels: { vec4: program, strided: program },
    needs: (device) =>
      subgroups && !device.features.has("subgroups") ? "subgroups, which your kernel uses" : null,
  };
}

/** Matrix products: `matmul`, `linear` and all that is made of them, with their gradients. */
export const matmulLadder: Ladder<MatmulProblem, MatmulStep> = {
  op: "matmul",
  steps,
  rule,
  shapeClass,
  own,
};
