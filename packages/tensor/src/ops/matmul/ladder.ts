import type { Device } from "../../device/device.js";
import type { Kernel, KernelFeature } from "../../device/kernel.js";
import type { Dtype } from "../../dtype.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import philox from "../../random/philox.wgsl";
import erf from "../elementwise/erf.wgsl";
import naive from "./1-naive.wgsl";
import tile from "./2-tile.wgsl";
import register from "./3-register.wgsl";
import subgroup from "./4-subgroup.wgsl";
import workgroup from "./5-workgroup.wgsl";
import splitK from "./7-split-k.wgsl";
import subgroupMatrix from "./8-subgroup-matrix.wgsl";
import named from "./9-named.wgsl";
import accumulate from "./accumulate.wgsl";
import activation from "./activation.wgsl";
import blocksStrided from "./blocks-strided.wgsl";
import blocksVec4 from "./blocks-vec4.wgsl";
import elements from "./elements.wgsl";
import epilogue from "./epilogue.wgsl";
import params from "./params.wgsl";
import second from "./second.wgsl";
import secondRegister from "./second-register.wgsl";
import secondSubgroup from "./second-subgroup.wgsl";

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
  readonly constants: Readonly<Record<string, number | boolean>>;
  /** Element types that they name besides those of the operands. */
  readonly types?: Readonly<Record<string, Dtype>>;
}

/** One step of the ladder. */
export interface MatmulStep extends LadderStep<MatmulProblem> {
  /** The kernel for operands that fit vec4 loads, and the one for any others; the same where a step has but one form. */
  readonly kernels: {
    readonly vec4: Kernel;
    readonly strided: Kernel;
    /** The form for vec4 loads with a second pair of operands, where the step has one: see `second.wgsl`. */
    readonly second?: Kernel;
  };
  /** True if the kernel can write the sum of each row of a beside the product: see `row-sums.wgsl`. */
  readonly sumsRows: boolean;
  /** True if one program is to serve all epilogues, because the kernel is dear to compile. */
  readonly oneProgram: boolean;
  /** For a step that cuts k: into how many parts. Its kernel then adds the results of a batched product. */
  parts?(problem: MatmulProblem): number;
  launch(device: Device, problem: MatmulProblem): Launch;
}

/** What stands before every kernel that goes element by element: shown to users, whose own kernels get the same. */
export const provided: readonly string[] = [params, elements, epilogue, activation, erf];

const always = () => null;

/** Every step's `fits`: elements of 16 bits need a feature. */
function halves({ types }: MatmulProblem, device: Device): string | null {
  return types.includes("f16") && !device.features.has("shader-f16")
    ? "f16, which this adapter does not have"
    : null;
}

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
    fits: halves,
    launch: () => launch,
  };
}

/** How a kernel adds the product of a second pair of operands, and what stands there where it does not. */
interface SecondPart {
  readonly source: string;
  readonly none: string;
}
const NO_SECOND = "const SECOND: bool = false;\n";
const inSubgroups: SecondPart = {
  source: secondSubgroup,
  none: `${NO_SECOND}fn add_second(sums: ptr<function, array<vec4<f32>, TILE>>, row: u32, column: u32, lane: u32, first: u32) {}`,
};
const inRegisters: SecondPart = {
  source: secondRegister,
  none: `${NO_SECOND}fn add_second(sums: ptr<function, array<vec4<f32>, 16>>, rows: vec2<u32>, columns: vec2<u32>) {}`,
};

function blocks(
  name: string,
  source: string,
  requires: readonly KernelFeature[] = [],
  pair: SecondPart | null = null,
): MatmulStep["kernels"] {
  const shared = [params, epilogue, activation, erf, accumulate];
  const plain = pair ? [...shared, pair.none] : shared;
  const kernels = {
    vec4: { name: `matmul/${name}`, source, snippets: [blocksVec4, ...plain], requires },
    strided: { name: `matmul/${name}-strided`, source, snippets: [blocksStrided, ...plain], requires },
  };
  if (!pair) return kernels;
  const added = ["const SECOND: bool = true;", philox, second, pair.source];
  const snippets = [blocksVec4, ...shared, ...added];
  return { ...kernels, second: { name: `matmul/${name}+second`, source, snippets, requires } };
}

/** Lanes that work on one tile in `4-subgroup.wgsl`. */
const lanesOf = (device: Device) => (device.subgroupSize >= 8 ? 8 : 4);

/** Tiles that keep a GPU busy: some for each of its hundred-odd processors. */
const MANY_TILES = 256;

/** Side of the tile in `5-workgroup.wgsl`: the large one where there are enough of them. */
function sideOf({ limits }: Device, { batch, m, n }: MatmulProblem): 64 | 128 {
  const tiles = batch * Math.ceil(m / 128) * Math.ceil(n / 128);
  const able =
    limits.maxComputeInvocationsPerWorkgroup >= 256 && limits.maxComputeWorkgroupStorageSize >= 16384;
  return able && tiles >= MANY_TILES ? 128 : 64;
}

/** Sizes of the fragments that an adapter's matrix units take, with sums in f32. */
interface MatrixConfig {
  readonly componentType: string;
  readonly resultComponentType: string;
  readonly M: number;
  readonly N: number;
  readonly K: number;
}

/** The fragments for elements of a type that fit into a tile of 64 x 64 x 16; null if the adapter has none. */
function fragments(device: Device, type: Dtype): MatrixConfig | null {
  const { subgroupMatrixConfigs = [] } = device.info as { subgroupMatrixConfigs?: readonly MatrixConfig[] };
  const fit = ({ componentType, resultComponentType, M, N, K }: MatrixConfig) =>
    componentType === type && resultComponentType === "f32" && 64 % M === 0 && 64 % N === 0 && 16 % K === 0;
  return subgroupMatrixConfigs.find(fit) ?? null;
}

/** What the operands are rounded to for the matrix units. */
const componentOf = ({ types: [a, b] }: MatmulProblem): Dtype => (a === "f16" || b === "f16" ? "f16" : "f32");

/** How `8-subgroup-matrix.wgsl` is dispatched with fragments of the given sizes. */
export function matrixLaunch(
  { M, N, K }: Pick<MatrixConfig, "M" | "N" | "K">,
  lanes: number,
  type: Dtype,
): Launch {
  return {
    rows: 64,
    columns: 64,
    constants: {
      SIDE: 64,
      DEPTH: type === "f16" ? 32 : 16,
      LANES: lanes,
      FRAGMENT_M: M,
      FRAGMENT_N: N,
      FRAGMENT_K: K,
    },
    types: { E: type },
  };
}

/** Multiplications up to which step 1 does without much ado what does not fit the vec4 form of others: some 0.4 ms on llvmpipe. */
const TINY = 2 ** 18;

/** Rows or columns up to which a product is skinny. */
const SKINNY = 16;
const isSkinny = ({ m, n }: MatmulProblem) => Math.min(m, n) <= SKINNY;

/** Multiplications from which on step 6 pays on a processor: it saves a third, but its programs have to be compiled too. */
const WORTHWHILE = 2 ** 22;

/** Shortest part of a sum that is worth a product of its own. */
const PART = 256;

/** Into how many parts of fours to cut k: as many as make the tiles of 64 x 64 about `MANY_TILES`. */
function partsOf({ batch, m, n, k }: MatmulProblem): number {
  if (batch !== 1) return 1;
  const tiles = Math.ceil(m / 64) * Math.ceil(n / 64);
  let parts = 1;
  while (parts * tiles < MANY_TILES && k % (8 * parts) === 0 && k / (2 * parts) >= PART) parts *= 2;
  return parts;
}

const splitKernel: Kernel = {
  name: "matmul/7-split-k",
  source: splitK,
  snippets: [params, epilogue, activation, erf],
};

const steps: readonly MatmulStep[] = [
  plain("1-naive", "one element of y an invocation", naive),
  plain("2-tile", "tiles of 16 x 16 in workgroup memory: a sixteenth of the storage reads", tile),
  {
    name: "3-register",
    idea: "8 x 8 elements an invocation in registers, vec4 loads, no barriers",
    kernels: blocks("3-register", register, [], inRegisters),
    sumsRows: false,
    oneProgram: false,
    needs: always,
    fits: halves,
    launch: () => ({ rows: 64, columns: 64, constants: { WIDTH: 8, HEIGHT: 8 } }),
  },
  {
    name: "4-subgroup",
    idea: "32 x 32 elements for 8 lanes: each lane loads a part, the subgroup hands it round",
    kernels: blocks("4-subgroup", subgroup, ["subgroups"], inSubgroups),
    sumsRows: true,
    oneProgram: true,
    needs: (device) => (device.subgroupSize >= 4 ? null : "subgroups of one size, of 4 lanes or more"),
    fits: halves,
    launch(device) {
      const lanes = lanesOf(device);
      const teams = device.subgroupSize / lanes;
      return {
        rows: 4 * lanes,
        columns: 4 * lanes * teams,
        constants: { LANES: lanes, TEAMS: teams, DOWN: false, BLOCK: 8 },
      };
    },
  },
  {
    name: "5-workgroup",
    idea: "tiles in workgroup memory, 8 x 8 elements an invocation, the next tile loaded meanwhile: for GPUs",
    kernels: blocks("5-workgroup", workgroup, [], inRegisters),
    sumsRows: false,
    oneProgram: false,
    needs: always,
    fits: halves,
    launch(device, problem) {
      const side = sideOf(device, problem);
      return { rows: side, columns: side, constants: { SIDE: side } };
    },
  },
  {
    name: "6-skinny",
    idea: "step 4 with tiles of 16 x 16, for products that are not wider or not higher than that",
    kernels: blocks("6-skinny", subgroup, ["subgroups"], inSubgroups),
    sumsRows: true,
    oneProgram: true,
    needs: (device) => (device.subgroupSize >= 8 ? null : "subgroups of one size, of 8 lanes or more"),
    fits: (problem, device) =>
      halves(problem, device) ?? (isSkinny(problem) ? null : `more than ${SKINNY} rows and columns`),
    launch(device, problem) {
      const teams = device.subgroupSize / 4;
      const down = problem.n <= SKINNY;
      return {
        rows: down ? 16 * teams : 16,
        columns: down ? 16 : 16 * teams,
        constants: { LANES: 4, TEAMS: teams, DOWN: down, BLOCK: 8 },
      };
    },
  },
  {
    name: "7-split-k",
    idea: "a long sum in parts, each a product of its own, and their sum in a second dispatch: for small results",
    kernels: { vec4: splitKernel, strided: splitKernel },
    sumsRows: false,
    oneProgram: false,
    needs: always,
    fits: (problem, device) =>
      halves(problem, device) ??
      (partsOf(problem) > 1 ? null : "k does not divide into parts of 256 or more, or there is a batch"),
    parts: partsOf,
    launch: () => ({ rows: 1, columns: 64, constants: {} }),
  },
  {
    name: "8-subgroup-matrix",
    idea: "the adapter's matrix units on fragments of a tile, sums in f32",
    kernels: blocks("8-subgroup-matrix", subgroupMatrix, [
      "subgroups",
      "chromium-experimental-subgroup-matrix",
    ]),
    sumsRows: false,
    oneProgram: false,
    needs(device) {
      if (!device.features.has("chromium-experimental-subgroup-matrix"))
        return "chromium-experimental-subgroup-matrix";
      if (device.subgroupSize === 0) return "subgroups of one size";
      return fragments(device, "f16") || fragments(device, "f32") ? null : "matrix units with sums in f32";
    },
    fits: (problem, device) =>
      halves(problem, device) ??
      (fragments(device, componentOf(problem))
        ? null
        : `${componentOf(problem)}, for which the adapter has no matrix units with sums in f32`),
    launch: (device, problem) =>
      matrixLaunch(fragments(device, componentOf(problem))!, device.subgroupSize, componentOf(problem)),
  },
  {
    name: "9-named",
    idea: "step 3 with a name for every register, for compilers that keep arrays in memory",
    kernels: blocks("9-named", named),
    sumsRows: true,
    oneProgram: false,
    needs: always,
    fits: halves,
    launch: () => ({ rows: 64, columns: 64, constants: { WIDTH: 8, HEIGHT: 8 } }),
  },
];

/**
 * Where nothing was measured. On a processor the widest subgroup tiles, without barriers; on a GPU tiles in workgroup memory,
 * and long sums in parts where the tiles are too few for it. Step 1 where so few elements of y are wanted that most of any tile
 * would be thrown away.
 */
function rule(device: Device, problem: MatmulProblem): { step: string; why: string } {
  const { batch, m, n, k, vec4 } = problem;
  const lanes = device.subgroupSize;
  const processor = device.info.isFallbackAdapter;
  if (!vec4 && batch * m * n * k <= TINY) {
    return { step: "1-naive", why: "so little work that compiling a large kernel for it takes longer" };
  }
  if (m * Math.ceil(n / 8) <= 4 || (lanes < 4 && Math.min(m, n) <= 8)) {
    return { step: "1-naive", why: "so few elements that most of a tile would be thrown away" };
  }
  if (device.info.architecture === "swiftshader") {
    return { step: "9-named", why: "its compiler keeps arrays in memory" };
  }
  if (processor) {
    if (lanes >= 8 && isSkinny(problem) && m * n * k >= WORTHWHILE) {
      return { step: "6-skinny", why: `not more than ${SKINNY} rows or columns, and much to sum` };
    }
    return lanes >= 4
      ? { step: "4-subgroup", why: `a processor with subgroups of ${lanes}` }
      : { step: "3-register", why: "a processor without subgroups of a known size" };
  }
  const matrix = steps.find((step) => step.name === "8-subgroup-matrix")!;
  if (matrix.needs(device) === null && matrix.fits?.(problem, device) === null && Math.min(m, n) > SKINNY) {
    return { step: matrix.name, why: `matrix units for ${componentOf(problem)}` };
  }
  if (k >= 4 * PART && partsOf(problem) >= 4) return { step: "7-split-k", why: "few elements and long sums" };
  if (lanes >= 8 && isSkinny(problem))
    return { step: "6-skinny", why: `not more than ${SKINNY} rows or columns` };
  return { step: "5-workgroup", why: "a GPU" };
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
