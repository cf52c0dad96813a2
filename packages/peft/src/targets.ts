/** Which modules a config means, by PEFT's rules. */
import { Linear, type Module, nearest, Parameter } from "@wgrad/tensor";
import { AdapterLayer } from "./adapter-layer.js";
import { type CommonConfig, headsOf, type TargetConfig } from "./config.js";
import { PeftError } from "./errors.js";

/** The part of a path after the last dot. */
export const leaf = (path: string) => path.slice(path.lastIndexOf(".") + 1);

/** The modules of a model as they are without adapters: where a layer is wrapped, the layer. Without the model itself. */
export function baseModules(model: Module): [string, Module][] {
  const found: [string, Module][] = [];
  const visit = (module: Module, path: string) => {
    if (path !== "") found.push([path, module]);
    for (const [name, child] of module.namedChildren())
      visit(child instanceof AdapterLayer ? child.base_layer : child, path === "" ? name : `${path}.${name}`);
  };
  visit(model, "");
  return found;
}

/** A name, an ending of it at a dot, or (a text) an expression for the whole path. */
export function matches(wanted: readonly string[] | string, path: string): boolean {
  if (typeof wanted === "string") return new RegExp(`^(?:${wanted})$`).test(path);
  return wanted.some((name) => path === name || path.endsWith(`.${name}`));
}

/** Whether an expression of `rankPattern` or `alphaPattern` means a path: its end must match. */
export const endMatches = (expression: string, path: string) =>
  new RegExp(`^(.*\\.)?(${expression})$`).test(path);

/** The setting of a path in `rankPattern` or `alphaPattern`: that of the first expression that matches. */
export function patternValue(
  pattern: Readonly<Record<string, number>>,
  path: string,
  otherwise: number,
): number {
  const found = Object.entries(pattern).find(([key]) => endMatches(key, path));
  return found?.[1] ?? otherwise;
}

const failure = (model: Module, message: string) =>
  new PeftError("E_TARGET", `${model.constructor.name}: ${message}`);

function missing(model: Module, wanted: string, setting: string, candidates: readonly string[]): PeftError {
  const near = nearest(wanted, [...candidates]) ?? "another model";
  return failure(model, `${setting}: no module is named "${wanted}". Did you mean ${near}?`);
}

/** Weights that several modules of a model share, such as an output projection tied to the embeddings. */
function sharedWeights(model: Module): Set<unknown> {
  const seen = new Set<Parameter>();
  const shared = new Set<unknown>();
  for (const [, module] of baseModules(model)) {
    for (const value of Object.values(module)) {
      if (!(value instanceof Parameter)) continue;
      if (seen.has(value)) shared.add(value);
      seen.add(value);
    }
  }
  return shared;
}

const sharesWeight = (module: Module, shared: ReadonlySet<unknown>) =>
  Object.values(module).some((value) => shared.has(value));

/** The ends of names of modules that are trained whole: `modulesToSave` and the heads of the task. */
export function wholeNames(config: CommonConfig): readonly string[] {
  return [...new Set([...(config.modulesToSave ?? []), ...headsOf(config.taskType)])];
}

/**
 * The modules that a config has trained and saved whole, by path. The outermost of a name is taken: what is inside is
 * trained with it.
 * @param strict every name of `modulesToSave` must be that of a module
 * @throws PeftError `E_TARGET`
 */
export function findWhole(model: Module, config: CommonConfig, strict: boolean): Map<string, Module> {
  const modules = baseModules(model);
  const ends = wholeNames(config);
  const whole = new Map<string, Module>();
  const isInside = (path: string) => [...whole.keys()].some((outer) => path.startsWith(`${outer}.`));
  const shared = sharedWeights(model);
  for (const [path, module] of modules) {
    if (isInside(path) || !ends.some((end) => path.endsWith(end))) continue;
    const parts = [module, ...baseModules(module).map(([, part]) => part)];
    if (parts.some((part) => sharesWeight(part, shared))) {
      throw failure(
        model,
        `modulesToSave takes in ${path}, whose weight another module has too (they are tied). Leave it out.`,
      );
    }
    whole.set(path, module);
  }
  for (const name of strict ? (config.modulesToSave ?? []) : []) {
    if (headsOf(config.taskType).includes(name) || modules.some(([path]) => path.endsWith(name))) continue;
    throw missing(model, name, "modulesToSave", [...new Set(modules.map(([path]) => leaf(path)))]);
  }
  return whole;
}

/** What a method can put adapters around, and which layers it is asked for. */
export interface TargetRule {
  /** For messages, such as `LoRA`. */
  readonly method: string;
  /** Classes of layers. */
  readonly layers: readonly (abstract new (
    ...args: never[]
  ) => Module)[];
  /** Of targets that are named by an ending: those that may stay. */
  readonly keeps?: (path: string) => boolean;
}

/**
 * The layers that `targetModules` means, by path, in the order of the tree.
 * @param strict every name of a list must be that of a module. Not so for a config from a file, which may have been written
 *   for several models; targets that are trained whole are then left out instead of refused
 * @throws PeftError `E_TARGET` naming what is not there, or a target that is no layer of the kind
 */
export function findTargets(
  model: Module,
  config: TargetConfig,
  rule: TargetRule,
  strict: boolean,
): Map<string, Module> {
  const { targetModules, excludeModules } = config;
  const modules = baseModules(model);
  const isLayer = (module: Module) => rule.layers.some((layer) => module instanceof layer);
  const layerNames = [...new Set(modules.filter(([, m]) => isLayer(m)).map(([path]) => leaf(path)))];
  const linearNames = [
    ...new Set(modules.filter(([, m]) => m instanceof Linear).map(([path]) => leaf(path))),
  ];
  if (targetModules === null) {
    throw failure(
      model,
      `targetModules is not set. Name the layers to adapt (${linearNames.join(", ")}), or pass "all-linear".`,
    );
  }
  const shared = sharedWeights(model);
  const whole = [...findWhole(model, config, false).keys()];
  const isWhole = (path: string) => whole.some((outer) => path === outer || path.startsWith(`${outer}.`));
  const everyLinear = targetModules === "all-linear";
  const targets = new Map<string, Module>();
  for (const [path, module] of modules) {
    if (excludeModules !== null && matches(excludeModules, path)) continue;
    if (everyLinear) {
      if (module instanceof Linear && !isWhole(path) && !sharesWeight(module, shared))
        targets.set(path, module);
      continue;
    }
    if (!matches(targetModules, path)) continue;
    const byEnding = typeof targetModules !== "string" && !targetModules.includes(path);
    if (byEnding && rule.keeps?.(path) === false) continue;
    if (isWhole(path)) {
      if (!strict) continue;
      throw failure(
        model,
        `${path} would be trained whole (modulesToSave) and by an adapter. Add it to excludeModules: ["${leaf(path)}"].`,
      );
    }
    if (!isLayer(module)) {
      const kinds = rule.layers.map((layer) => layer.name).join(", ");
      throw failure(
        model,
        `targetModules takes in ${path}, a ${module.constructor.name}; ${rule.method} is for ${kinds} layers: ${layerNames.join(", ")}.`,
      );
    }
    if (sharesWeight(module, shared)) {
      throw failure(
        model,
        `the weight of ${path} is also that of another module (they are tied, as embeddings and output projection are); an adapter on it could not be merged. Leave it out.`,
      );
    }
    targets.set(path, module);
  }
  const list = typeof targetModules === "string" ? null : targetModules;
  const paths = modules.map(([path]) => path);
  const unknown = list?.find((name) => !paths.some((path) => matches([name], path)));
  if (unknown !== undefined && (strict || targets.size === 0))
    throw missing(model, unknown, "targetModules", layerNames);
  if (targets.size === 0) {
    const ending =
      list === null && layerNames.includes(targetModules as string)
        ? ` A text is an expression for the whole path; for an ending pass a list: ["${targetModules}"].`
        : "";
    throw failure(
      model,
      `targetModules ${JSON.stringify(targetModules)} leaves no layer to adapt.${ending} There are ${layerNames.join(", ")}.`,
    );
  }
  return targets;
}
