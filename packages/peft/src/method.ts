import type { Module } from "@wgrad/tensor";
import type { AdapterLayer } from "./adapter-layer.js";
import type { PeftConfig } from "./peft-config.js";
import type { AdaptableModel } from "./peft-model.js";

/** How adapters are joined into one: see `PeftModel.addWeightedAdapter`. */
export interface Combination {
  readonly adapters: readonly string[];
  readonly weights: readonly number[];
  readonly combinationType: string;
}

/**
 * What a method of PEFT is, for `PeftModel`: which layers it wraps, what it puts around them, and what its file calls that.
 * One folder a method.
 */
export interface Method<C extends PeftConfig, L extends AdapterLayer = AdapterLayer> {
  /** For messages, such as `LoRA`. */
  readonly name: string;

  /**
   * The layers of the model that get an adapter, by path, without those that have one already taken apart.
   * @param strict every name of a list must be there; not so for a config from a file, which may be for several models
   * @throws PeftError `E_TARGET` naming what is not there or cannot be adapted
   */
  find(model: AdaptableModel, config: C, strict: boolean): Map<string, Module>;

  /** The settings as they are kept and written: what was left to the model is filled in. */
  resolve(model: AdaptableModel, config: C, paths: readonly string[]): C;

  /** The layer that stands in the place of `base`, still without adapters. */
  wrap(base: Module, path: string, config: C): L;

  /** Gives a layer an adapter with new weights. */
  add(layer: L, adapter: string, path: string, config: C): void;

  /** What stands in the file before the path of a module that is trained whole. */
  readonly prefix: string;

  /** Name in the file of a part of the layer at a path. */
  key(path: string, part: string): string;

  /** What the model is given in place of `input`, where the method changes that. */
  input?(layer: L, input: unknown): unknown;

  /** Settings of the joined adapter. @throws PeftError `E_ADAPTER` if these cannot be joined so */
  combinedConfig(configs: readonly C[], combination: Combination): C;

  /** Fills a new adapter of a layer with the sum of others of its adapters. */
  combine(layer: L, adapter: string, combination: Combination): void;
}
