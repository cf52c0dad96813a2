import { type LoadingInfo, PreTrainedModel, type WeightSource } from "@wgrad/models";
import { type Device, Module, nearest, type Parameter, scope } from "@wgrad/tensor";
import { AdapterLayer, namesOf } from "./adapter-layer.js";
import { PeftError } from "./errors.js";
import { IA3 } from "./ia3/index.js";
import { type AnyLoraLayer, LORA, loraLayersOf } from "./lora/index.js";
import type { Combination, Method } from "./method.js";
import { ModulesToSave } from "./modules-to-save.js";
import { type PeftConfig, type PeftConfigInput, type PeftType, peftConfig } from "./peft-config.js";
import { PROMPT_TUNING } from "./prompt-tuning/index.js";
import { findWhole, wholeNames } from "./targets.js";

/** A model that can carry an adapter: any with a forward. */
export interface AdaptableModel extends Module {
  forward(input: never): unknown;
}

/** Number of trained elements and of all. */
export interface ParameterCounts {
  trainable: number;
  /** With the untouched copies of modules that are trained whole, as PEFT counts. */
  all: number;
}

/** Which adapters `addWeightedAdapter` joins, and how. */
export interface WeightedAdapterOptions {
  /** Adapters that are joined. */
  adapters: readonly string[];
  /** How much of each, in their order; negative numbers take away. */
  weights: readonly number[];
  /** Name of the new adapter. */
  adapterName: string;
  /**
   * `"cat"`: ranks add up, and the sum is exact. `"linear"`: A and B are added up one by one, for adapters of one rank, which
   * is an approximation. PEFT's others (svd, ties, dare_…, magnitude_prune) are not here. Not looked at with (IA)³, whose
   * vectors are added up. Default `"cat"` (PEFT's is `"svd"`).
   */
  combinationType?: "cat" | "linear";
}

/** PEFT's name of an adapter that was given none. */
export const DEFAULT_ADAPTER = "default";

const METHODS = { LORA, IA3, PROMPT_TUNING } as unknown as Record<PeftType, Method<PeftConfig>>;

/** The model with adapters in it: the link `base_model` → `model` of PEFT's names. */
export class Tuner<M extends AdaptableModel> extends Module {
  model: M;

  constructor(model: M) {
    super();
    this.model = model;
  }
}

function deviceOf(model: Module): Device {
  if (model instanceof PreTrainedModel) return model.device;
  const [first] = model.parameters();
  if (first) return first.device;
  throw new PeftError("E_TARGET", `${model.constructor.name} has no parameter: there is nothing to adapt.`);
}

/** Names are parts of parameters' names and of paths on disk. */
function checkAdapterName(name: string): void {
  if (/^[A-Za-z0-9_-]+$/.test(name) && name !== "training") return;
  throw new PeftError(
    "E_ADAPTER",
    `${JSON.stringify(name)} cannot name an adapter: use letters, digits, "_" and "-" ("training" is taken).`,
  );
}

/**
 * A model with adapters in it, as `peft.PeftModel`. The model is changed in place: layers with adapters take the place of the
 * targets, all else is frozen but what the active adapter trains. Parameters have PEFT's names in the tree, such as
 * `base_model.model.distilbert.transformer.layer.0.attention.q_lin.lora_A.default.weight`; `adapterState` gives them the
 * names of PEFT's file. Make one with `getPeftModel`, or read one with `PeftModel.fromPretrained` of `@wgrad/peft/node`.
 *
 * A step that was captured (`capture` of `@wgrad/tensor`) follows a switch of adapters: each choice has its own recording.
 */
export class PeftModel<M extends AdaptableModel = AdaptableModel> extends PreTrainedModel {
  override readonly baseModelPrefix = "base_model";
  base_model: Tuner<M>;
  /** Settings of each adapter by its name, as `peft_config`. */
  peftConfig: Readonly<Record<string, Readonly<PeftConfig>>> = {};
  /** Adapters that act. Change them with `setAdapter`. */
  activeAdapters: readonly string[] = namesOf([]);
  readonly #layers = new Map<string, AdapterLayer>();
  /** Paths of the layers of each adapter. */
  readonly #paths = new Map<string, readonly string[]>();
  readonly #whole = new ModulesToSave();
  #enabled = true;
  #takenOff = false;

  /** Use `getPeftModel`. */
  constructor(model: M) {
    super(deviceOf(model));
    this.training = model.training;
    this.base_model = new Tuner(model);
    model.requiresGrad_(false);
  }

  // ---- which adapters there are ----

  /** Layers with adapters by their path in the model. */
  get adapterLayers(): ReadonlyMap<string, AdapterLayer> {
    return this.#layers;
  }

  /** Layers with low-rank adapters by their path in the model. */
  get loraLayers(): ReadonlyMap<string, AnyLoraLayer> {
    return loraLayersOf(this.#layers);
  }

  /** The adapter that acts; the first of several. */
  get activeAdapter(): string {
    return this.activeAdapters[0] ?? this.#refuse("the model has no adapter; add one with addAdapter.");
  }

  /** Settings of the active adapter, as `active_peft_config`. */
  get activePeftConfig(): Readonly<PeftConfig> {
    return this.#config(this.activeAdapter);
  }

  /**
   * Adds an adapter with new weights. It does not act yet, unless it is the first: call `setAdapter`.
   * @param options.strict every name in the settings must be there. Default true; false for settings from a file
   * @throws PeftError `E_CONFIG_…` for a setting, `E_TARGET` for modules that are not there or cannot be adapted, `E_ADAPTER` for
   *   a name that is taken or a method that does not go with the adapters that are there. The model is then as it was.
   */
  addAdapter(adapterName: string, config: PeftConfigInput, options: { strict?: boolean } = {}): void {
    this.#assertLive("addAdapter");
    const { strict = true } = options;
    const { model } = this.base_model;
    checkAdapterName(adapterName);
    if (adapterName in this.peftConfig)
      this.#refuse(`there is an adapter "${adapterName}" already. Take another name, or delete it first.`);
    if (this.merged) this.#refuse("an adapter is merged into the weights. Call unmergeAdapter() first.");
    const given = peftConfig(config);
    const method = METHODS[given.peftType];
    const [other] = Object.values(this.peftConfig);
    if (other && other.peftType !== given.peftType) {
      this.#refuse(
        `the adapters of one model are of one method; there is ${other.peftType}, and this one is ${given.peftType}.`,
      );
    }
    this.#checkBias(given);
    const targets = method.find(model, given, strict);
    // A further adapter of a classifier trains a head too, as in PEFT; settings from a file say so themselves.
    const taskType = given.taskType ?? (strict ? (other?.taskType ?? null) : null);
    const whole = findWhole(model, { ...given, taskType }, strict);
    this.#checkOverlap(targets, whole);
    const resolved = method.resolve(model, given, [...targets.keys()]);
    const wholeEnds = wholeNames({ ...given, taskType });
    try {
      for (const [path, base] of targets) this.#addTo(path, base, adapterName, resolved);
    } catch (error) {
      for (const path of targets.keys()) this.#removeFrom(path, adapterName);
      throw error;
    }
    this.#paths.set(adapterName, [...targets.keys()]);
    this.#whole.add(adapterName, whole);
    this.peftConfig = {
      ...this.peftConfig,
      [adapterName]: Object.freeze({ ...resolved, modulesToSave: wholeEnds.length > 0 ? wholeEnds : null }),
    };
    if (this.activeAdapters.length === 0) this.setAdapter(adapterName);
    else this.#thaw();
  }

  /**
   * Makes an adapter (or several, whose outputs add up) act, and trains them and nothing else, unless they were loaded for
   * use only (`inferenceMode`).
   * @throws PeftError `E_ADAPTER` for a name that is not there, or several that each have modules trained whole
   */
  setAdapter(adapterName: string | readonly string[]): void {
    this.#assertLive("setAdapter");
    const names = [...new Set([adapterName].flat())];
    for (const name of names) this.#config(name);
    if (names.length > 1 && names.some((name) => this.#config(name).peftType === "PROMPT_TUNING"))
      this.#refuse("only one prompt can stand before the input at a time.");
    if (this.merged)
      this.#refuse("an adapter is merged into the weights. Call unmergeAdapter() before another can act.");
    if (this.#enabled) this.#whole.activate(names);
    this.activeAdapters = namesOf(names);
    for (const layer of this.#layers.values()) layer.activeAdapters = this.activeAdapters;
    this.#thaw();
  }

  /**
   * Frees an adapter. If it acted, the first of the others does so now.
   * @throws PeftError `E_ADAPTER` for a name that is not there or an adapter that is merged
   */
  deleteAdapter(adapterName: string): void {
    this.#assertLive("deleteAdapter");
    this.#config(adapterName);
    if ([...this.#layers.values()].some((layer) => layer.mergedAdapters.includes(adapterName)))
      this.#refuse(`"${adapterName}" is merged into the weights. Call unmergeAdapter() first.`);
    const { [adapterName]: _, ...rest } = this.peftConfig;
    this.peftConfig = rest;
    const left = this.activeAdapters.filter((name) => name !== adapterName);
    const next = left.length > 0 ? left : Object.keys(rest).slice(0, 1);
    this.#whole.activate(this.#enabled ? next : []);
    this.activeAdapters = namesOf(next);
    this.#whole.remove(adapterName);
    for (const path of this.#paths.get(adapterName) ?? []) this.#removeFrom(path, adapterName);
    this.#paths.delete(adapterName);
    for (const layer of this.#layers.values()) layer.activeAdapters = this.activeAdapters;
    this.#thaw();
  }

  /**
   * Adds an adapter that is the weighted sum of others. It does not act yet, and is frozen until `setAdapter`. Modules that
   * one of them trained whole are in it as the model had them before, as in PEFT.
   * @throws PeftError `E_ADAPTER` for adapters that cannot be joined so: see `WeightedAdapterOptions`
   */
  addWeightedAdapter(options: WeightedAdapterOptions): void {
    this.#assertLive("addWeightedAdapter");
    const { adapters, weights, adapterName, combinationType = "cat" } = options;
    if (adapters.length === 0 || adapters.length !== weights.length)
      this.#refuse(`addWeightedAdapter got ${adapters.length} adapters and ${weights.length} weights.`);
    if (!["cat", "linear"].includes(combinationType)) {
      this.#refuse(
        `addWeightedAdapter: combinationType "${combinationType}" is not here. "cat" is exact, "linear" keeps the rank.`,
      );
    }
    const configs = adapters.map((name) => this.#config(name));
    for (const name of adapters) {
      if (this.#whole.parameters(name).size === 0) continue;
      const others = adapters.filter((one) => one !== name && this.#whole.parameters(one).size > 0);
      if (others.length > 0)
        this.#refuse(
          `addWeightedAdapter: ${name} and ${others[0]} each have modules trained whole, which cannot be added up.`,
        );
    }
    const method = METHODS[configs[0]!.peftType];
    // Of one adapter, the sum of products is the product itself: as in PEFT.
    const combination: Combination = {
      adapters,
      weights,
      combinationType: adapters.length === 1 ? "linear" : combinationType,
    };
    this.addAdapter(adapterName, method.combinedConfig(configs, combination), { strict: false });
    for (const path of this.#paths.get(adapterName)!)
      method.combine(this.#layers.get(path)!, adapterName, combination);
  }

  /** Gives the layer at a path an adapter, wrapping it if it is not yet. */
  #addTo(path: string, base: Module, adapterName: string, config: PeftConfig): void {
    const method = METHODS[config.peftType];
    let layer = this.#layers.get(path);
    if (!layer) {
      layer = method.wrap(base, path, config);
      this.base_model.model.setSubmodule(path, layer);
      layer.disableAdapters = !this.#enabled;
      layer.activeAdapters = this.activeAdapters;
      this.#layers.set(path, layer);
    }
    method.add(layer, adapterName, path, config);
    layer.train(layer.training);
  }

  /** Takes an adapter, if it is there, from the layer at a path, and the wrapping where no other is left. */
  #removeFrom(path: string, adapterName: string): void {
    const layer = this.#layers.get(path);
    layer?.deleteAdapter(adapterName);
    if (layer?.adapterNames.length === 0) this.#unwrap(path, layer);
  }

  // ---- running ----

  /** The model inside, adapters included. */
  getBaseModel(): M {
    return this.base_model.model;
  }

  /** As the model's own forward. */
  forward(input: Parameters<M["forward"]>[0]): ReturnType<M["forward"]> {
    this.#assertLive("forward");
    const model = this.base_model.model as { forward(input: unknown): unknown };
    const run = () => model.forward(this.#input(input)) as ReturnType<M["forward"]>;
    return scope(run);
  }

  #input(input: unknown): unknown {
    const [adapter] = this.activeAdapters;
    const method = adapter === undefined ? null : METHODS[this.#config(adapter).peftType];
    if (!method?.input) return input;
    return method.input(this.#layers.get(this.#paths.get(adapter!)![0]!)!, input);
  }

  /**
   * The model without its adapters, the modules that they trained whole as they were before: while `body` runs (until its
   * promise settles), or until the returned object is disposed. Merged adapters are taken out of the weights and stay out.
   * Biases that an adapter trained (`bias`) stay as they are, as in PEFT.
   *
   *     const before = model.disableAdapter(() => model.forward(input).logits);
   *     { using _ = model.disableAdapter(); … }
   */
  disableAdapter(): Disposable;
  disableAdapter<T>(body: () => T): T;
  disableAdapter<T>(body?: () => T): T | Disposable {
    this.#assertLive("disableAdapter");
    const before = this.#enabled;
    this.#enable(false);
    const restore = () => this.#enable(before);
    if (!body) return { [Symbol.dispose]: restore };
    let result: T;
    try {
      result = body();
    } catch (error) {
      restore();
      throw error;
    }
    if (result instanceof Promise) return result.finally(restore) as T;
    restore();
    return result;
  }

  #enable(value: boolean): void {
    if (!value && this.merged) this.unmergeAdapter();
    this.#enabled = value;
    for (const layer of this.#layers.values()) layer.disableAdapters = !value;
    this.#whole.activate(value ? this.activeAdapters : []);
  }

  // ---- what is trained ----

  /** Makes what the active adapters consist of trained, or all frozen. */
  setTrainable(value = true): this {
    this.peftConfig = Object.fromEntries(
      Object.entries(this.peftConfig).map(([name, config]) => [
        name,
        this.activeAdapters.includes(name) ? Object.freeze({ ...config, inferenceMode: !value }) : config,
      ]),
    );
    this.#thaw();
    return this;
  }

  /** Freezes all but the active adapters that are to be trained. */
  #thaw(): void {
    const trained = new Set<Parameter>();
    const all = new Set<Parameter>(this.parameters());
    for (const name of Object.keys(this.peftConfig)) {
      const state = this.#trainedBy(name);
      const isTrained = this.activeAdapters.includes(name) && !this.#config(name).inferenceMode;
      for (const parameter of state.values()) {
        all.add(parameter);
        if (isTrained) trained.add(parameter);
      }
    }
    for (const parameter of all) parameter.requiresGrad_(trained.has(parameter));
  }

  /** What an adapter trains, by the names of PEFT's file: its own parts, biases, modules trained whole. */
  #trainedBy(adapter: string): Map<string, Parameter> {
    const config = this.#config(adapter);
    const method = METHODS[config.peftType];
    const state = new Map<string, Parameter>();
    for (const path of this.#paths.get(adapter)!) {
      for (const [part, parameter] of this.#layers.get(path)!.adapterParameters(adapter))
        state.set(method.key(path, part), parameter);
    }
    for (const [name, parameter] of this.#biases(config)) state.set(`${method.prefix}${name}`, parameter);
    for (const [name, parameter] of this.#whole.parameters(adapter))
      state.set(`${method.prefix}${name}`, parameter);
    return state;
  }

  /** Biases of the model that an adapter trains, without those of modules that are trained whole anyway. */
  #biases(config: PeftConfig): [string, Parameter][] {
    if (config.peftType !== "LORA" || config.bias === "none") return [];
    const { model } = this.base_model;
    const adapted = new Set([...this.#layers.values()].map((layer) => layer.bias));
    return [...model.namedParameters()].filter(
      ([name, parameter]) =>
        /(^|\.)bias$/.test(name) &&
        !this.#whole.original(name) &&
        (config.bias === "all" || adapted.has(parameter)),
    );
  }

  /** Number of trained elements and of all, as PEFT counts them. */
  getNbTrainableParameters(): ParameterCounts {
    return {
      trainable: this.numParameters({ trainable: true }),
      all: this.numParameters() + this.#whole.resting,
    };
  }

  /** PEFT's line, such as `trainable params: 887,042 || all params: 67,842,052 || trainable%: 1.3075`. */
  printTrainableParameters(print: (line: string) => void = console.log): void {
    const { trainable, all } = this.getNbTrainableParameters();
    const count = (n: number) => n.toLocaleString("en-US");
    const percent = ((100 * trainable) / all).toFixed(4);
    print(`trainable params: ${count(trainable)} || all params: ${count(all)} || trainable%: ${percent}`);
  }

  // ---- merging ----

  /** True while an adapter is part of the weights. */
  get merged(): boolean {
    return [...this.#layers.values()].some((layer) => layer.merged);
  }

  /**
   * Adds adapters to the weights of their layers: the same outputs without extra work. They can be taken out again.
   * @param adapterNames default: the active ones
   * @throws PeftError `E_ADAPTER` for a name that is not there, or a prompt
   */
  mergeAdapter(adapterNames: readonly string[] = this.activeAdapters): void {
    this.#assertLive("mergeAdapter");
    for (const name of adapterNames) this.#config(name);
    for (const layer of this.#layers.values()) layer.merge(adapterNames);
  }

  /** Takes merged adapters out of the weights again, which are then as before up to rounding. */
  unmergeAdapter(): void {
    this.#assertLive("unmergeAdapter");
    for (const layer of this.#layers.values()) layer.unmerge();
  }

  /**
   * Adds adapters to their layers' weights and gives the model back with its own layers: same outputs, no extra work. This
   * object cannot be used after. Modules that the active adapter trained whole stay as trained.
   * @param adapterNames default: the active ones
   */
  mergeAndUnload(adapterNames: readonly string[] = this.activeAdapters): M {
    this.#assertLive("mergeAndUnload");
    for (const name of adapterNames) this.#config(name);
    this.#whole.activate(adapterNames);
    this.mergeAdapter(adapterNames);
    return this.#takeOff();
  }

  /**
   * Takes the adapters off without merging: the model as it was before, up to rounding if they were merged. This object cannot
   * be used after. Biases that an adapter trained (`bias`) stay as trained, as in PEFT.
   */
  unload(): M {
    this.#assertLive("unload");
    this.unmergeAdapter();
    this.#whole.activate([]);
    return this.#takeOff();
  }

  #takeOff(): M {
    const { model } = this.base_model;
    for (const [path, layer] of this.#layers) this.#unwrap(path, layer);
    this.#whole.release();
    this.#takenOff = true;
    return model;
  }

  /** Puts the layer itself back in its place and frees its adapters. */
  #unwrap(path: string, layer: AdapterLayer): void {
    layer.base_layer.train(layer.training);
    this.base_model.model.setSubmodule(path, layer.base_layer);
    for (const adapter of [...layer.adapterNames]) layer.deleteAdapter(adapter);
    this.#layers.delete(path);
  }

  // ---- weights ----

  /**
   * What an adapter consists of, by the names of PEFT's file: A and B, trained biases, modules trained whole. As
   * `get_peft_model_state_dict`. The tensors are the model's own.
   */
  adapterState(adapterName: string = this.activeAdapter): Map<string, Parameter> {
    const state = this.#trainedBy(adapterName);
    const config = this.#config(adapterName);
    if (config.peftType !== "LORA" || config.bias !== "all") return state;
    // PEFT's file then has the biases of modules that are trained whole three times over.
    const { prefix } = METHODS[config.peftType];
    for (const [name, copy] of this.#whole.parameters(adapterName)) {
      if (!/(^|\.)bias$/.test(name)) continue;
      const path = name.slice(0, -".bias".length);
      state.set(`${prefix}${path}.original_module.bias`, this.#whole.original(name)!);
      state.set(`${prefix}${path}.modules_to_save.bias`, copy);
    }
    return state;
  }

  override initWeights(module: Module): void {
    const { model } = this.base_model;
    if (model instanceof PreTrainedModel) model.initWeights(module);
  }

  /** `config.json` of the model inside; of one that has none, empty. */
  override configJson(): Record<string, unknown> {
    const { model } = this.base_model;
    return model instanceof PreTrainedModel ? model.configJson() : {};
  }

  /** `loadAdapter` for the active adapter. */
  override loadWeights(
    source: WeightSource,
    onProgress?: (done: number, total: number) => void,
  ): Promise<LoadingInfo> {
    return this.loadAdapterState(this.activeAdapter, source, onProgress);
  }

  /**
   * Takes the weights of an adapter's file. Every name must fit, in both directions.
   * @throws PeftError `E_ADAPTER_KEYS` naming what is missing and what has no place, `E_ADAPTER_SHAPE` for another shape
   */
  async loadAdapterState(
    adapterName: string,
    source: WeightSource,
    onProgress?: (done: number, total: number) => void,
  ): Promise<LoadingInfo> {
    this.#assertLive("loadWeights");
    if (this.merged) this.#refuse("an adapter is merged into the weights. Call unmergeAdapter() first.");
    const wanted = this.adapterState(adapterName);
    const names = [...wanted.keys()];
    const missing = names.filter((name) => !source.shapes.has(name));
    const unexpected = [...source.shapes.keys()].filter((name) => !wanted.has(name));
    if (missing.length + unexpected.length > 0) {
      const some = (list: readonly string[]) =>
        list.length === 0
          ? "none"
          : list.slice(0, 4).join(", ") + (list.length > 4 ? `, … (${list.length})` : "");
      const hint = unexpected[0] ? ` Nearest to ${unexpected[0]}: ${nearest(unexpected[0], names)}.` : "";
      throw new PeftError(
        "E_ADAPTER_KEYS",
        `${source.name} does not fit this ${this.base_model.model.constructor.name} and its adapter_config.json. ` +
          `Missing in the file: ${some(missing)}. Without a place in the model: ${some(unexpected)}.${hint}`,
      );
    }
    for (const [name, parameter] of wanted) {
      const shape = source.shapes.get(name)!;
      if (shape.join() === parameter.shape.join()) continue;
      throw new PeftError(
        "E_ADAPTER_SHAPE",
        `${source.name}: ${name} has shape [${shape.join(", ")}], the model and its config ask for [${parameter.shape.join(", ")}]. ` +
          "The adapter is for another model, another number of labels or another r (rank_pattern).",
      );
    }
    let done = 0;
    for (const [name, parameter] of wanted) {
      parameter.copy_(await source.read(name));
      this.device.submit();
      onProgress?.(++done, wanted.size);
    }
    return { missingKeys: [], unexpectedKeys: [] };
  }

  override tiedKeys(): readonly string[] {
    const { model } = this.base_model;
    return model instanceof PreTrainedModel ? model.tiedKeys().map((name) => `base_model.model.${name}`) : [];
  }

  /** Frees the adapters and the model, also where `mergeAndUnload` has handed it out. */
  override dispose(): void {
    for (const layer of this.#layers.values()) layer.dispose();
    super.dispose();
    this.#whole.release();
  }

  protected override get baseModel(): Module {
    return this.base_model.model;
  }

  #config(adapterName: string): Readonly<PeftConfig> {
    const config = this.peftConfig[adapterName];
    if (config) return config;
    const names = Object.keys(this.peftConfig);
    return this.#refuse(`there is no adapter "${adapterName}". There is ${names.join(", ") || "none"}.`);
  }

  /** One adapter alone may train biases of the model: two would overwrite each other's. */
  #checkBias(config: PeftConfig): void {
    const hasBias = (one: PeftConfig) => one.peftType === "LORA" && one.bias !== "none";
    const all = [...Object.values(this.peftConfig), config];
    if (all.length > 1 && all.filter(hasBias).length > 1)
      this.#refuse('only one adapter of a model can train biases. Give the others bias: "none".');
  }

  /** A module is adapted, or trained whole, by all adapters that touch it. */
  #checkOverlap(targets: ReadonlyMap<string, Module>, whole: ReadonlyMap<string, Module>): void {
    const within = (inner: string, outer: string) => inner === outer || inner.startsWith(`${outer}.`);
    const adapted = [...this.#layers.keys(), ...targets.keys()];
    const clash = [...whole.keys()].find((outer) => adapted.some((path) => within(path, outer)));
    const taken = [...targets].find(([path, layer]) =>
      Object.keys(layer).some((property) => this.#whole.original(`${path}.${property}`)),
    );
    const path = clash ?? taken?.[0];
    if (path === undefined) return;
    throw new PeftError(
      "E_TARGET",
      `${this.base_model.model.constructor.name}: ${path} would be trained whole by one adapter and wrapped by another. Leave it out of one.`,
    );
  }

  #refuse(message: string): never {
    throw new PeftError("E_ADAPTER", `PeftModel: ${message}`);
  }

  #assertLive(what: string): void {
    if (!this.#takenOff) return;
    throw new PeftError(
      "E_MERGED",
      `PeftModel.${what}: the adapter was taken off this model. Go on with the model that mergeAndUnload or unload returned.`,
    );
  }
}

/**
 * Puts an adapter into a model, in place, and freezes the rest. As `peft.get_peft_model`.
 * @param config settings; of LoRA unless `peftType` says otherwise
 * @throws PeftError `E_CONFIG_…` for a setting, `E_TARGET` for modules that are not there or cannot be adapted
 */
export function getPeftModel<M extends AdaptableModel>(
  model: M,
  config: PeftConfigInput,
  options: { adapterName?: string } = {},
): PeftModel<M> {
  return wrap(model, config, options.adapterName ?? DEFAULT_ADAPTER, true);
}

/** As `getPeftModel` for a config from a file, whose names need not all be those of this model. */
export function peftModelFromConfig<M extends AdaptableModel>(
  model: M,
  config: PeftConfig,
  options: { adapterName?: string } = {},
): PeftModel<M> {
  return wrap(model, config, options.adapterName ?? DEFAULT_ADAPTER, false);
}

function wrap<M extends AdaptableModel>(
  model: M,
  config: PeftConfigInput,
  adapterName: string,
  strict: boolean,
): PeftModel<M> {
  const adapted = [...model.namedModules()].find(([, module]) => module instanceof AdapterLayer);
  if (model instanceof PeftModel || adapted) {
    throw new PeftError(
      "E_TARGET",
      `getPeftModel: the model has an adapter already${adapted ? ` (${adapted[0]})` : ""}. Call addAdapter on its PeftModel, or mergeAndUnload or unload first.`,
    );
  }
  const trained = [...model.parameters()].filter((parameter) => parameter.requiresGrad);
  const peft = new PeftModel(model);
  try {
    peft.addAdapter(adapterName, config, { strict });
  } catch (error) {
    for (const parameter of trained) parameter.requiresGrad_(true);
    throw error;
  }
  return peft;
}
