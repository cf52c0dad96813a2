import { dropGradient } from "../autograd/graph.js";
import { at } from "../device/place.js";
import { currentRecorder } from "../device/recording.js";
import { ShapeError, ValueError } from "../errors.js";
import { formatShape } from "../shape.js";
import type { Tensor } from "../tensor.js";
import { Parameter } from "./parameter.js";

/** What `loadStateDict` found, as PyTorch reports it. */
export interface LoadReport {
  /** Parameters of the module that the state does not have. */
  missingKeys: string[];
  /** Entries of the state that the module has no place for. */
  unexpectedKeys: string[];
}

let initialise = true;

/** Runs `body`, which makes modules, without filling their parameters: for weights that are loaded right after. */
export function skipInit<T>(body: () => T): T {
  const before = initialise;
  initialise = false;
  try {
    return body();
  } finally {
    initialise = before;
  }
}

/** False inside `skipInit`: a layer's constructor asks it before it draws random weights. */
export function shouldInitialise(): boolean {
  return initialise;
}

/** Tells whether a module still has the mode, settings, parameters and parts that it has now. */
function unchanged(module: Module): () => boolean {
  const lists = module.namedChildren().filter(([, child]) => !("forward" in child));
  const parts = () => lists.flatMap(([, list]) => list.namedChildren().map(([, part]) => part));
  const before = parts();
  const state = Object.entries(module).filter(([, value]) => value === null || typeof value !== "function");
  const trained = state.map(([, value]) => value instanceof Parameter && value.requiresGrad);
  return () =>
    parts().every((part, i) => part === before[i]) &&
    state.every(([name, value], i) => {
      const now: unknown = Reflect.get(module, name);
      return Object.is(now, value) && (!(now instanceof Parameter) || now.requiresGrad === trained[i]);
    });
}

/**
 * A part of a model: parameters, buffers and further modules, found by the names of its properties, which therefore are
 * those of the checkpoint (`model.transformer.layer[0].attention.q_lin.weight`). As `torch.nn.Module`.
 */
export abstract class Module {
  /** True in training: dropout acts. */
  training = true;

  constructor() {
    // Whoever calls `forward` passes by here: profiles name the module, and captured steps notice that it changed.
    const { forward } = this as { forward?: unknown };
    if (typeof forward !== "function") return;
    const value = (...args: unknown[]) => {
      currentRecorder()?.guard("module", this, unchanged(this));
      return at({ module: this }, () => forward.apply(this, args));
    };
    Object.defineProperty(this, "forward", { value, writable: true, configurable: true, enumerable: false });
  }

  /** Modules directly inside, with the names of their properties. */
  namedChildren(): [string, Module][] {
    return Object.entries(this).filter((entry): entry is [string, Module] => entry[1] instanceof Module);
  }

  /** This module and all inside it, depth first; the root's name is "". */
  *namedModules(prefix = ""): Generator<[string, Module]> {
    yield [prefix, this];
    for (const [name, child] of this.namedChildren())
      yield* child.namedModules(prefix === "" ? name : `${prefix}.${name}`);
  }

  /**
   * The module at a path such as `transformer.layer.0.attention.q_lin`; "" is this one. As `torch.nn.Module.get_submodule`.
   * @throws ValueError naming the part of the path that is not there
   */
  getSubmodule(path: string): Module {
    let module: Module = this;
    for (const name of path === "" ? [] : path.split(".")) {
      const children = module.namedChildren();
      const child = children.find(([key]) => key === name)?.[1];
      if (!child) {
        throw new ValueError(
          `getSubmodule: "${path}": ${module.constructor.name} has no module "${name}". ` +
            `It has ${children.map(([key]) => key).join(", ") || "none"}.`,
        );
      }
      module = child;
    }
    return module;
  }

  /**
   * Puts a module in the place of the one at a path. The one that stood there is not disposed. It is on the caller that the
   * new one can do what its neighbours ask of it. As `torch.nn.Module.set_submodule`.
   * @throws ValueError if there is no module at the path
   */
  setSubmodule(path: string, module: Module): void {
    if (path === "") throw new ValueError("setSubmodule: a module cannot replace itself; give a path.");
    this.getSubmodule(path);
    const dot = path.lastIndexOf(".");
    this.getSubmodule(path.slice(0, Math.max(dot, 0))).setChild(path.slice(dot + 1), module);
  }

  /** Replaces one of `namedChildren` by its name. */
  protected setChild(name: string, module: Module): void {
    Reflect.set(this, name, module);
  }

  /** Parameters by their names in the checkpoint, in order of definition; a shared one appears once, under its first name. */
  *namedParameters(prefix = ""): Generator<[string, Parameter]> {
    const seen = new Set<Parameter>();
    for (const [path, module] of this.namedModules(prefix)) {
      for (const [name, value] of Object.entries(module)) {
        if (!(value instanceof Parameter) || seen.has(value)) continue;
        seen.add(value);
        yield [path === "" ? name : `${path}.${name}`, value];
      }
    }
  }

  /** Parameters, each once. */
  *parameters(): Generator<Parameter> {
    for (const [, parameter] of this.namedParameters()) yield parameter;
  }

  /** Number of elements of all parameters (of those that are trained, with `trainable`). */
  numParameters(options: { trainable?: boolean } = {}): number {
    let count = 0;
    for (const p of this.parameters()) if (!options.trainable || p.requiresGrad) count += p.numel;
    return count;
  }

  /** Puts the module and all inside into training (or evaluation) mode. */
  train(mode = true): this {
    for (const [, module] of this.namedModules()) module.training = mode;
    return this;
  }

  /** Evaluation mode: dropout does nothing. */
  eval(): this {
    return this.train(false);
  }

  /** Makes all parameters trained or frozen. */
  requiresGrad_(value = true): this {
    for (const p of this.parameters()) p.requiresGrad_(value);
    return this;
  }

  /** Drops the gradients of all parameters. */
  zeroGrad(): void {
    for (const p of this.parameters()) dropGradient(p);
  }

  /** Calls `visit` on every module inside and then on this one, as `torch.nn.Module.apply`. */
  apply(visit: (module: Module) => void): this {
    for (const [, child] of this.namedChildren()) child.apply(visit);
    visit(this);
    return this;
  }

  /** Parameters by name, shared ones under each of their names. The tensors are the module's own, not copies. */
  stateDict(): Map<string, Tensor> {
    const state = new Map<string, Tensor>();
    for (const [path, module] of this.namedModules()) {
      for (const [name, value] of Object.entries(module)) {
        if (value instanceof Parameter) state.set(path === "" ? name : `${path}.${name}`, value);
      }
    }
    return state;
  }

  /**
   * Copies values into the parameters.
   * @throws ShapeError for an entry of another shape, naming it and both shapes
   * @throws ValueError with `strict` (the default) if names are missing or left over
   */
  loadStateDict(state: ReadonlyMap<string, Tensor>, options: { strict?: boolean } = {}): LoadReport {
    const own = this.stateDict();
    const report: LoadReport = {
      missingKeys: [...own.keys()].filter((name) => !state.has(name)),
      unexpectedKeys: [...state.keys()].filter((name) => !own.has(name)),
    };
    for (const [name, parameter] of own) {
      const value = state.get(name);
      if (value && formatShape(value.shape) !== formatShape(parameter.shape)) {
        throw new ShapeError(
          `loadStateDict: ${name} has shape ${formatShape(value.shape)} in the state and ${formatShape(parameter.shape)} in the model.`,
        );
      }
    }
    if ((options.strict ?? true) && report.missingKeys.length + report.unexpectedKeys.length > 0) {
      throw new ValueError(
        `loadStateDict: the names do not fit. Missing: ${report.missingKeys.join(", ") || "none"}. ` +
          `Not in the model: ${report.unexpectedKeys.join(", ") || "none"}. Pass { strict: false } to load the rest.`,
      );
    }
    for (const [name, parameter] of own) {
      const value = state.get(name);
      if (value && value !== parameter) parameter.copy_(value);
    }
    return report;
  }

  /** Frees all parameters. */
  dispose(): void {
    for (const [, parameter] of this.stateDict()) parameter.dispose();
  }

  /** What stands in the parentheses when the module is printed, such as `in_features=384, out_features=2, bias=True`. */
  extraRepr(): string {
    return "";
  }

  /** The tree as PyTorch prints it. */
  toString(): string {
    const children = this.namedChildren();
    const name = this.constructor.name;
    if (children.length === 0) return `${name}(${this.extraRepr()})`;
    const lines = mergeRepeated(children.map(([key, child]) => [key, child.toString()]));
    const body = lines.map(([key, text]) => `  (${key}): ${text.replaceAll("\n", "\n  ")}`).join("\n");
    return `${name}(\n${body}\n)`;
  }
}

/** `(0-5): 6 x TransformerBlock(…)` for equal neighbours in a list, as PyTorch does. */
function mergeRepeated(lines: [string, string][]): [string, string][] {
  const out: [string, string][] = [];
  for (let i = 0; i < lines.length; ) {
    const [key, text] = lines[i]!;
    let j = i + 1;
    while (j < lines.length && /^\d+$/.test(lines[j]![0]) && lines[j]![1] === text) j++;
    const count = /^\d+$/.test(key) ? j - i : 1;
    out.push(count > 1 ? [`${key}-${lines[i + count - 1]![0]}`, `${count} x ${text}`] : [key, text]);
    i += count;
  }
  return out;
}

/** Modules in a list, named by their place, as `torch.nn.ModuleList`. */
export class ModuleList<M extends Module = Module> extends Module implements Iterable<M> {
  readonly #items: M[];

  constructor(items: Iterable<M> = []) {
    super();
    this.#items = [...items];
  }

  get length(): number {
    return this.#items.length;
  }

  /** Module at `index`; negative counts from the end. */
  at(index: number): M {
    const found = this.#items.at(index);
    if (!found) throw new ValueError(`ModuleList: index ${index} is outside of ${this.length} modules.`);
    return found;
  }

  push(module: M): void {
    this.#items.push(module);
  }

  [Symbol.iterator](): Iterator<M> {
    return this.#items[Symbol.iterator]();
  }

  override namedChildren(): [string, Module][] {
    return this.#items.map((item, i) => [String(i), item]);
  }

  protected override setChild(name: string, module: Module): void {
    this.#items[Number(name)] = module as M;
  }
}
