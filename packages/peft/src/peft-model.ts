import { type LoadingInfo, PreTrainedModel, type WeightSource } from "@wgrad/models";
import { Module, nearest, noGrad, Parameter, type Tensor } from "@wgrad/tensor";
import { type LoraConfig, loraConfig } from "./config.js";
import { PeftError } from "./errors.js";
import { LoraLinear } from "./lora-linear.js";
import { findTargets, patternValue, type Targets } from "./targets.js";

/** A model that can carry an adapter: any with a forward. */
export interface AdaptableModel extends PreTrainedModel {
  forward(input: never): unknown;
}

/** Number of trained elements and of all. */
export interface ParameterCounts {
  trainable: number;
  /** With the untouched copies of modules that are trained whole, as PEFT counts. */
  all: number;
}

/** The model with adapters in it: the link `base_model` → `model` of PEFT's names. */
class LoraModel<M extends AdaptableModel> extends Module {
  model: M;

  constructor(model: M) {
    super();
    this.model = model;
  }
}

/**
 * A model with LoRA in it, as `peft.PeftModel`. The model is changed in place: `LoraLinear` layers take the place of the
 * targets, all else is frozen but what the config trains. Parameters have the names of PEFT's file, such as
 * `base_model.model.distilbert.transformer.layer.0.attention.q_lin.lora_A.weight`. Make one with `getPeftModel`, or read one
 * with `PeftModel.fromPretrained` of `@wgrad/peft/node`.
 */
export class PeftModel<M extends AdaptableModel = AdaptableModel> extends PreTrainedModel {
  override readonly baseModelPrefix = "base_model";
  base_model: LoraModel<M>;
  /** Settings of the adapter, the modules it means written out. */
  readonly peftConfig: Readonly<LoraConfig>;
  readonly #targets: Targets;
  readonly #lora = new Map<string, LoraLinear>();
  /** Values from before of what is trained whole, by name in the model. */
  readonly #originals = new Map<string, Tensor>();
  #merged = false;

  /** Use `getPeftModel`. */
  constructor(model: M, config: LoraConfig, targets: Targets) {
    super(model.device);
    this.training = model.training;
    this.base_model = new LoraModel(model);
    this.#targets = targets;
    const { targetModules } = config;
    this.peftConfig = loraConfig({
      ...config,
      targetModules: targetModules === "all-linear" ? [...targets.linear.keys()] : targetModules,
      modulesToSave: targets.modulesToSave,
    });
    model.requiresGrad_(false);
    for (const [path, base] of targets.linear) {
      const r = patternValue(config.rankPattern, path, config.r);
      const alpha = patternValue(config.alphaPattern, path, config.loraAlpha);
      const layer = new LoraLinear(base, {
        r,
        scaling: alpha / (config.useRslora ? Math.sqrt(r) : r),
        dropout: config.loraDropout,
        initLoraWeights: config.initLoraWeights,
      });
      model.setSubmodule(path, layer);
      this.#lora.set(path, layer);
    }
    for (const [path, module] of targets.whole) {
      for (const [name, parameter] of module.namedParameters(path))
        this.#originals.set(name, noGrad(() => parameter.clone()).keep());
    }
    this.setTrainable(!config.inferenceMode);
  }

  /** Adapted layers by their path in the model. */
  get loraLayers(): ReadonlyMap<string, LoraLinear> {
    return this.#lora;
  }

  /** The model inside, adapters included. */
  getBaseModel(): M {
    return this.base_model.model;
  }

  /** As the model's own forward. */
  forward(input: Parameters<M["forward"]>[0]): ReturnType<M["forward"]> {
    this.#assertLive("forward");
    const { model } = this.base_model;
    return (model as { forward(input: unknown): unknown }).forward(input) as ReturnType<M["forward"]>;
  }

  /** Makes what the adapter consists of trained, or all frozen. */
  setTrainable(value = true): this {
    const own = new Set<Tensor>(this.adapterState().values());
    for (const p of this.parameters()) p.requiresGrad_(value && own.has(p));
    return this;
  }

  /** What the adapter consists of, by the names of PEFT's file: A and B, trained biases, modules trained whole. */
  adapterState(): Map<string, Parameter> {
    const { bias } = this.peftConfig;
    const whole = [...this.#targets.whole.keys()].map((path) => `base_model.model.${path}.`);
    const adaptedBias = new Set([...this.#lora.values()].map((layer) => layer.bias));
    const state = new Map<string, Parameter>();
    for (const [name, parameter] of this.stateDict()) {
      const isBias = /(^|\.)bias$/.test(name);
      const trained =
        /\.lora_[AB]\.weight$/.test(name) ||
        whole.some((prefix) => name.startsWith(prefix)) ||
        (isBias && (bias === "all" || (bias === "lora_only" && adaptedBias.has(parameter as Parameter))));
      if (trained && parameter instanceof Parameter) state.set(name, parameter);
    }
    return state;
  }

  /** Number of trained elements and of all, as PEFT counts them. */
  getNbTrainableParameters(): ParameterCounts {
    let kept = 0;
    for (const tensor of this.#originals.values()) kept += tensor.numel;
    return { trainable: this.numParameters({ trainable: true }), all: this.numParameters() + kept };
  }

  /** PEFT's line, such as `trainable params: 887,042 || all params: 67,842,052 || trainable%: 1.3075`. */
  printTrainableParameters(print: (line: string) => void = console.log): void {
    const { trainable, all } = this.getNbTrainableParameters();
    const count = (n: number) => n.toLocaleString("en-US");
    const percent = ((100 * trainable) / all).toFixed(4);
    print(`trainable params: ${count(trainable)} || all params: ${count(all)} || trainable%: ${percent}`);
  }

  /**
   * Adds every adapter to its layer's weight and gives the model back with its own layers: same outputs, no extra work. This
   * object cannot be used after. Modules that were trained whole stay as trained.
   */
  mergeAndUnload(): M {
    this.#assertLive("mergeAndUnload");
    for (const layer of this.#lora.values()) layer.mergeIntoBase();
    return this.#takeOff();
  }

  /** Takes the adapter off without merging it: the model as it was before. This object cannot be used after. */
  unload(): M {
    this.#assertLive("unload");
    const state = this.base_model.model.stateDict();
    for (const [name, original] of this.#originals) state.get(name)!.copy_(original);
    return this.#takeOff();
  }

  override initWeights(module: Module): void {
    this.base_model.model.initWeights(module);
  }

  /** `config.json` of the model inside. */
  override configJson(): Record<string, unknown> {
    return this.base_model.model.configJson();
  }

  /**
   * Takes the weights of an adapter's file. Every name must fit, in both directions.
   * @throws PeftError `E_ADAPTER_KEYS` naming what is missing and what has no place, `E_ADAPTER_SHAPE` for another shape
   */
  override async loadWeights(
    source: WeightSource,
    onProgress?: (done: number, total: number) => void,
  ): Promise<LoadingInfo> {
    this.#assertLive("loadWeights");
    const wanted = this.adapterState();
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
    return this.base_model.model.tiedKeys().map((name) => `base_model.model.${name}`);
  }

  /** Frees the adapter and the model, also where `mergeAndUnload` has handed it out. */
  override dispose(): void {
    super.dispose();
    this.#disposeOriginals();
  }

  protected override get baseModel(): Module {
    return this.base_model.model;
  }

  #takeOff(): M {
    const { model } = this.base_model;
    for (const [path, layer] of this.#lora) {
      layer.base_layer.train(layer.training);
      model.setSubmodule(path, layer.base_layer);
      layer.lora_A.dispose();
      layer.lora_B.dispose();
    }
    this.#lora.clear();
    this.#disposeOriginals();
    this.#merged = true;
    return model;
  }

  #disposeOriginals(): void {
    for (const tensor of this.#originals.values()) tensor.dispose();
    this.#originals.clear();
  }

  #assertLive(what: string): void {
    if (!this.#merged) return;
    throw new PeftError(
      "E_MERGED",
      `PeftModel.${what}: the adapter was taken off this model. Go on with the model that mergeAndUnload or unload returned.`,
    );
  }
}

/**
 * Puts LoRA into a model, in place, and freezes the rest. As `peft.get_peft_model`.
 * @throws PeftError `E_CONFIG_…` for a setting, `E_TARGET` for modules that are not there or cannot be adapted
 */
export function getPeftModel<M extends AdaptableModel>(model: M, config: Partial<LoraConfig>): PeftModel<M> {
  const whole = loraConfig(config);
  return wrap(model, whole, findTargets(model, whole));
}

/** As `getPeftModel` for a config from a file, whose names need not all be those of this model. */
export function peftModelFromConfig<M extends AdaptableModel>(model: M, config: LoraConfig): PeftModel<M> {
  return wrap(model, config, findTargets(model, config, { strict: false }));
}

function wrap<M extends AdaptableModel>(model: M, config: LoraConfig, targets: Targets): PeftModel<M> {
  const adapted = [...model.namedModules()].find(([, module]) => module instanceof LoraLinear);
  if (model instanceof PeftModel || adapted) {
    throw new PeftError(
      "E_TARGET",
      `getPeftModel: the model has an adapter already${adapted ? ` (${adapted[0]})` : ""}. Call mergeAndUnload or unload first.`,
    );
  }
  return new PeftModel(model, config, targets);
}
