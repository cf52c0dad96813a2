import { Module, noGrad, type Parameter, scope } from "@wgrad/tensor";

const interned = new Map<string, readonly string[]>();

/**
 * A list of names that is the same object for the same names: a captured step that was recorded with it is found again when
 * a model goes back to it.
 */
export function namesOf(names: readonly string[]): readonly string[] {
  const key = JSON.stringify(names);
  const list = interned.get(key) ?? Object.freeze([...names]);
  interned.set(key, list);
  return list;
}

/**
 * A layer of the model with adapters around it. It stands in the tree where the layer stood, which is kept as `base_layer`.
 * As `peft.tuners.tuners_utils.BaseTunerLayer`. Its state is replaced and never changed in place, so that captured steps
 * (`capture` of `@wgrad/tensor`) notice a switch of adapters and record anew.
 */
export abstract class AdapterLayer<Base extends Module = Module> extends Module {
  base_layer: Base;
  /** Adapters that act, if this layer has them; their outputs add up. */
  activeAdapters: readonly string[] = namesOf([]);
  /** True: the layer is as it was without adapters. */
  disableAdapters = false;
  /** Adapters that are part of the base layer's weight now, in the order in which they were merged. */
  mergedAdapters: readonly string[] = namesOf([]);

  constructor(base: Base) {
    super();
    this.base_layer = base;
    this.training = base.training;
  }

  /** x → y, as the base layer's. */
  abstract forward(x: unknown): unknown;

  /** Names of the adapters of this layer. */
  abstract readonly adapterNames: readonly string[];

  /** What an adapter consists of, by its name in PEFT's file after the layer's path: `lora_A.weight`. */
  abstract adapterParameters(adapter: string): Map<string, Parameter>;

  /** Frees an adapter, if the layer has it. */
  abstract deleteAdapter(adapter: string): void;

  /** Adds an adapter to the base layer's weight, in place. */
  protected abstract mergeOne(adapter: string): void;

  /** Undoes `mergeOne`. */
  protected abstract unmergeOne(adapter: string): void;

  get merged(): boolean {
    return this.mergedAdapters.length > 0;
  }

  /** The base layer's bias, if it has one. */
  get bias(): Parameter | null {
    return (this.base_layer as { bias?: Parameter | null }).bias ?? null;
  }

  hasAdapter(adapter: string): boolean {
    return this.adapterNames.includes(adapter);
  }

  /** The adapters that `forward` computes: active ones that this layer has, none while it is merged or disabled. */
  protected get acting(): readonly string[] {
    if (this.disableAdapters || this.merged) return [];
    return this.activeAdapters.filter((adapter) => this.hasAdapter(adapter));
  }

  /** Makes adapters part of the base layer's weight: the same outputs without extra work. Merged ones stay as they are. */
  merge(adapters: readonly string[] = this.activeAdapters): void {
    for (const adapter of adapters) {
      if (!this.hasAdapter(adapter) || this.mergedAdapters.includes(adapter)) continue;
      noGrad(() => scope(() => this.mergeOne(adapter)));
      this.mergedAdapters = namesOf([...this.mergedAdapters, adapter]);
    }
  }

  /** Takes merged adapters out of the weight again, the last one first. The weight is then as before up to rounding. */
  unmerge(): void {
    for (const adapter of [...this.mergedAdapters].reverse()) {
      noGrad(() => scope(() => this.unmergeOne(adapter)));
      this.mergedAdapters = namesOf(this.mergedAdapters.slice(0, -1));
    }
  }
}
