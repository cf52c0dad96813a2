import { type Module, noGrad, Parameter } from "@wgrad/tensor";
import { PeftError } from "./errors.js";

/** Where a parameter stands in the model, and the one that stood there first. */
interface Slot {
  readonly module: Module;
  readonly property: string;
  readonly original: Parameter;
}

/**
 * Modules that adapters train and save whole. Each adapter has its own copy of their parameters, which stands in the model
 * while the adapter acts; the originals are kept for `unload` and for when adapters are disabled. What
 * `peft.utils.ModulesToSaveWrapper` does, but with the modules where they were, so that models may read their weights.
 */
export class ModulesToSave {
  readonly #slots = new Map<string, Slot>();
  readonly #copies = new Map<string, Map<string, Parameter>>();

  /** Copies the parameters of modules, given by path, for an adapter. */
  add(adapter: string, whole: ReadonlyMap<string, Module>): void {
    const copies = new Map<string, Parameter>();
    for (const [path, outer] of whole) {
      for (const [inner, module] of outer.namedModules(path)) {
        for (const [property, value] of Object.entries(module)) {
          if (!(value instanceof Parameter)) continue;
          const name = `${inner}.${property}`;
          const slot = this.#slots.get(name) ?? { module, property, original: value };
          this.#slots.set(name, slot);
          copies.set(name, new Parameter(noGrad(() => slot.original.clone())));
        }
      }
    }
    this.#copies.set(adapter, copies);
  }

  /** Frees an adapter's copies. They must not stand in the model: `activate` another first. */
  remove(adapter: string): void {
    for (const copy of this.#copies.get(adapter)?.values() ?? []) copy.dispose();
    this.#copies.delete(adapter);
  }

  /** An adapter's copies by their names in the model. */
  parameters(adapter: string): ReadonlyMap<string, Parameter> {
    return this.#copies.get(adapter) ?? new Map();
  }

  /** A parameter as it was before, by its name in the model. */
  original(name: string): Parameter | undefined {
    return this.#slots.get(name)?.original;
  }

  /**
   * Puts the copies of adapters in their places in the model, and the originals where they have none.
   * @throws PeftError `E_ADAPTER` if two of them have a copy for the same place
   */
  activate(adapters: readonly string[]): void {
    const chosen = new Map<string, Parameter>();
    for (const adapter of adapters) {
      for (const [name, copy] of this.parameters(adapter)) {
        if (chosen.has(name)) {
          throw new PeftError(
            "E_ADAPTER",
            `setAdapter: ${adapters.join(", ")} each have a ${name} of their own (modulesToSave). Only one of them can act at a time.`,
          );
        }
        chosen.set(name, copy);
      }
    }
    for (const [name, { module, property, original }] of this.#slots)
      Reflect.set(module, property, chosen.get(name) ?? original);
  }

  /** Number of elements that are not in the model now. */
  get resting(): number {
    let count = 0;
    for (const [name, { module, property, original }] of this.#slots) {
      const present: unknown = Reflect.get(module, property);
      const all = [original, ...[...this.#copies.values()].flatMap((copies) => copies.get(name) ?? [])];
      for (const parameter of all) if (parameter !== present) count += parameter.numel;
    }
    return count;
  }

  /** Frees all that is not in the model. Nothing can be exchanged after. */
  release(): void {
    for (const [name, { module, property, original }] of this.#slots) {
      const present: unknown = Reflect.get(module, property);
      for (const copies of this.#copies.values()) {
        const copy = copies.get(name);
        if (copy && copy !== present) copy.dispose();
      }
      if (original !== present) original.dispose();
    }
    this.#slots.clear();
    this.#copies.clear();
  }
}
