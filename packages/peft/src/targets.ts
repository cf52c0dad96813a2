/** Which modules a `LoraConfig` means, by PEFT's rules. */
import type { PreTrainedModel } from "@wgrad/models";
import { Linear, type Module, nearest } from "@wgrad/tensor";
import { headsOf, type LoraConfig } from "./config.js";
import { PeftError } from "./errors.js";

/** The modules of a model that an adapter touches. */
export interface Targets {
  /** Linear layers that get an adapter, by path, in the order of the tree. */
  linear: Map<string, Linear>;
  /** Modules that are trained and saved whole, by path. */
  whole: Map<string, Module>;
  /** The ends of names behind `whole`: `modulesToSave` and the heads of the task. Null if there are none. */
  modulesToSave: readonly string[] | null;
}

/** A name, an ending of it at a dot, or (a text) an expression for the whole path. */
function matches(wanted: readonly string[] | string, path: string): boolean {
  if (typeof wanted === "string") return new RegExp(`^(?:${wanted})$`).test(path);
  return wanted.some((name) => path === name || path.endsWith(`.${name}`));
}

/** The setting of a path in `rankPattern` or `alphaPattern`: the first expression that its end matches. */
export function patternValue(
  pattern: Readonly<Record<string, number>>,
  path: string,
  otherwise: number,
): number {
  const found = Object.entries(pattern).find(([key]) => new RegExp(`^(.*\\.)?(${key})$`).test(path));
  return found?.[1] ?? otherwise;
}

const leaf = (path: string) => path.slice(path.lastIndexOf(".") + 1);

/**
 * Finds the modules that a config means.
 * @param options.strict every name of a list must be that of a module, and every pattern that of a target. Not so for a
 *   config from a file, which may have been written for several models.
 * @throws PeftError `E_TARGET` naming what is not there, or a target that is not a Linear layer
 */
export function findTargets(
  model: PreTrainedModel,
  config: LoraConfig,
  options: { strict?: boolean } = {},
): Targets {
  const modules = [...model.namedModules()].filter(([path]) => path !== "");
  const linearNames = [
    ...new Set(modules.filter(([, m]) => m instanceof Linear).map(([path]) => leaf(path))),
  ];
  const fail = (message: string) => new PeftError("E_TARGET", `${model.constructor.name}: ${message}`);
  const { targetModules, excludeModules } = config;
  if (targetModules === null) {
    throw fail(
      `targetModules is not set. Name the Linear layers to adapt (${linearNames.join(", ")}), or pass "all-linear".`,
    );
  }
  const tied = new Set(model.tiedKeys());
  const modulesToSave = [...new Set([...(config.modulesToSave ?? []), ...headsOf(config.taskType)])];
  const whole = new Map<string, Module>();
  for (const [path, module] of modules) {
    // The outermost module of a name is taken: what is inside is trained with it.
    const inside = [...whole.keys()].some((outer) => path.startsWith(`${outer}.`));
    if (!inside && modulesToSave.some((end) => path.endsWith(end))) whole.set(path, module);
  }
  const isWhole = (path: string) =>
    [...whole.keys()].some((outer) => path === outer || path.startsWith(`${outer}.`));
  const everyLinear = targetModules === "all-linear";
  const linear = new Map<string, Linear>();
  for (const [path, module] of modules) {
    if (excludeModules !== null && matches(excludeModules, path)) continue;
    if (everyLinear) {
      if (module instanceof Linear && !isWhole(path) && !tied.has(`${path}.weight`)) linear.set(path, module);
      continue;
    }
    if (!matches(targetModules, path)) continue;
    if (!(module instanceof Linear)) {
      throw fail(
        `targetModules takes in ${path}, a ${module.constructor.name}; LoRA here is for Linear layers: ${linearNames.join(", ")}.`,
      );
    }
    if (isWhole(path)) {
      throw fail(
        `${path} would be trained whole (modulesToSave) and by an adapter. Add it to excludeModules: ["${leaf(path)}"].`,
      );
    }
    if (tied.has(`${path}.weight`)) {
      throw fail(
        `the weight of ${path} is also that of the embeddings; an adapter on it could not be merged. Leave it out.`,
      );
    }
    linear.set(path, module);
  }
  const names = modules.map(([path]) => path);
  const missing = (wanted: string, setting: string, candidates: readonly string[]) =>
    fail(
      `${setting}: no module is named "${wanted}". Did you mean ${nearest(wanted, candidates) ?? "another model"}?`,
    );
  if (linear.size === 0) {
    const list = typeof targetModules === "string" ? null : targetModules;
    if (list?.[0] !== undefined && !names.some((path) => matches(list, path)))
      throw missing(list[0], "targetModules", linearNames);
    const ending =
      list === null && linearNames.includes(targetModules as string)
        ? ` A text is an expression for the whole path; for an ending pass a list: ["${targetModules}"].`
        : "";
    throw fail(
      `targetModules ${JSON.stringify(targetModules)} leaves no Linear layer to adapt.${ending} There are ${linearNames.join(", ")}.`,
    );
  }
  if (options.strict ?? true) {
    for (const name of Array.isArray(targetModules) ? (targetModules as string[]) : []) {
      if (!names.some((path) => matches([name], path))) throw missing(name, "targetModules", linearNames);
    }
    for (const name of config.modulesToSave ?? []) {
      if (!names.some((path) => path.endsWith(name)))
        throw missing(name, "modulesToSave", [...new Set(names.map(leaf))]);
    }
    for (const setting of ["rankPattern", "alphaPattern"] as const) {
      for (const key of Object.keys(config[setting])) {
        if ([...linear.keys()].some((path) => new RegExp(`^(.*\\.)?(${key})$`).test(path))) continue;
        throw fail(
          `${setting}: no adapted layer ends with "${key}". They are ${[...linear.keys()].join(", ")}.`,
        );
      }
    }
  }
  return { linear, whole, modulesToSave: modulesToSave.length > 0 ? modulesToSave : null };
}
