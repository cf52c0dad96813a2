import type { Dtype } from "../dtype.js";
import { storageType } from "../dtype.js";

/**
 * A WGSL compute program. The `.wgsl` file is read as it stands; what differs between uses (element types, tile sizes,
 * a formula) is put before it as `alias`, `const` and `fn` declarations, never spliced into it.
 *
 * Convention: `@group(0) @binding(0) var<uniform> params: Params` holds the numbers of one dispatch (omit it if there
 * are none), bindings 1, 2, … are the storage buffers in the order in which `Device.run` gets them, and the entry point
 * is `main`. `var<storage, read>` and `var<storage, read_write>` tell what is input and what is output.
 */
export interface Kernel {
  /** Unique name such as `softmax/3-subgroup`: shown in errors and profiles, and the key of the pipeline cache. */
  readonly name: string;
  /** Text of the `.wgsl` file. */
  readonly source: string;
  /** Snippets put before the source, such as the shared random generator. */
  readonly snippets?: readonly string[];
  /** Features the program needs; each must be a feature of the device. All are enabled in the text. */
  readonly requires?: readonly KernelFeature[];
}

/** A feature that a program may need; each is enabled in the WGSL text by the directive of `DIRECTIVES`. */
export type KernelFeature = "subgroups" | "shader-f16" | "chromium-experimental-subgroup-matrix";

const DIRECTIVES: Readonly<Record<KernelFeature, string>> = {
  "shader-f16": "f16",
  subgroups: "subgroups",
  "chromium-experimental-subgroup-matrix": "chromium_experimental_subgroup_matrix",
};

/** What a kernel is specialised with. A pipeline is compiled once for each combination. */
export interface Specialisation {
  /** `const NAME: u32 = value;` for integers, `const NAME: bool` for booleans. */
  readonly constants?: Readonly<Record<string, number | boolean>>;
  /** `alias NAME = <WGSL type of the dtype>;` */
  readonly types?: Readonly<Record<string, Dtype>>;
  /** Further WGSL text, such as a generated `fn`. It is part of the pipeline's identity. */
  readonly text?: string;
}

/** A value of a `Params` struct that stays: plain numbers are u32 (negative ones i32 by two's complement), `f32(x)` is a float. */
export type FixedParam = number | { readonly f32: number };

/** A value of a `Params` struct; `live(…)` ones are read again whenever a captured step is replayed. */
export type ParamValue = FixedParam | { readonly live: () => FixedParam };

/**
 * A parameter that changes from step to step, such as the learning rate: `read` is called when the dispatch is recorded, and
 * again at every replay of a captured step, in the order of the dispatches and `effect`s.
 */
export function live(read: () => FixedParam): ParamValue {
  return { live: read };
}

/** Writes the parameters of one dispatch into both views of its block, from word `base` on. */
export function writeParams(
  params: readonly ParamValue[],
  words: Uint32Array,
  floats: Float32Array,
  base: number,
): void {
  for (let i = 0; i < params.length; i++) {
    const param = params[i]!;
    const value = typeof param === "object" && "live" in param ? param.live() : param;
    if (typeof value === "number") words[base + i] = value;
    else floats[base + i] = value.f32;
  }
}

/** Marks a parameter as f32. */
export function f32(value: number): FixedParam {
  return { f32: value };
}

/** Key of a specialised kernel in the pipeline cache. */
export function pipelineKey(kernel: Kernel, specialisation: Specialisation | undefined): string {
  if (!specialisation) return kernel.name;
  let key = kernel.name;
  for (const name in specialisation.constants) key += `|${name}=${specialisation.constants[name]}`;
  for (const name in specialisation.types) key += `|${name}:${specialisation.types[name]}`;
  if (specialisation.text) key += `|${specialisation.text}`;
  return key;
}

/** The WGSL text a device gets, and the number of lines that stand before the kernel's own first line. */
export function assemble(
  kernel: Kernel,
  specialisation: Specialisation | undefined,
): { code: string; offset: number } {
  const types = specialisation?.types ?? {};
  const lines: string[] = [];
  const halves: KernelFeature[] = Object.values(types).includes("f16") ? ["shader-f16"] : [];
  const needed = new Set([...halves, ...(kernel.requires ?? [])]);
  for (const feature of needed) lines.push(`enable ${DIRECTIVES[feature]};`);
  for (const [name, dtype] of Object.entries(types)) lines.push(`alias ${name} = ${storageType(dtype)};`);
  for (const [name, value] of Object.entries(specialisation?.constants ?? {})) {
    lines.push(
      typeof value === "boolean" ? `const ${name}: bool = ${value};` : `const ${name}: u32 = ${value}u;`,
    );
  }
  const head = [
    ...lines,
    ...(specialisation?.text ? [specialisation.text] : []),
    ...(kernel.snippets ?? []),
  ].join("\n");
  const before = head === "" ? "" : `${head}\n`;
  return { code: before + kernel.source, offset: before.split("\n").length - 1 };
}

/** How each storage binding of a program is used, in order of binding number. */
export function storageAccess(code: string): ("read" | "read_write")[] {
  const found: ("read" | "read_write")[] = [];
  for (const match of code.matchAll(/@binding\((\d+)\)\s*var<storage(?:,\s*(read_write|read))?>/g)) {
    found[Number(match[1]) - 1] = (match[2] as "read" | "read_write" | undefined) ?? "read";
  }
  return found;
}

/** Workgroups for `count` invocations, `size` a workgroup; beyond 65,535 they spill into y. See `linear_index` in kernels. */
export function gridFor(count: number, size: number): [number, number, number] {
  const groups = Math.ceil(count / size);
  if (groups <= 65535) return [groups, 1, 1];
  const rows = Math.ceil(groups / 65535);
  return [Math.ceil(groups / rows), rows, 1];
}

/** Pads a list to the 8 entries of an `array<vec4, 2>` in a `Params` struct. */
export function eight(values: readonly number[], fill: number): number[] {
  return [...values, ...new Array<number>(8 - values.length).fill(fill)];
}
