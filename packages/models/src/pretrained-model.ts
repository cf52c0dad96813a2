import { type Device, Module, noGrad, type Parameter, Tensor } from "@wgrad/tensor";
import { ModelsError, WeightsError } from "./errors.js";

/** Where weights come from: names and shapes at once, values one at a time, so that no file need be in memory whole. */
export interface WeightSource {
  /** What the weights were read from, for messages: a file or folder. */
  readonly name: string;
  /** Shape of each tensor by its name in the file. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** Values in row-major order, as f32. */
  read(name: string): Promise<Float32Array>;
}

/** What loading found, as Hugging Face's `from_pretrained` reports it. */
export interface LoadingInfo {
  /** Parameters that were not in the file and are newly initialised. */
  missingKeys: string[];
  /** Tensors of the file that the model has no use for. */
  unexpectedKeys: string[];
}

/** A model with a config that is loaded from and saved to Hugging Face's files. */
export abstract class PreTrainedModel extends Module {
  readonly device: Device;
  /** Name under which the encoder stands in a model with a head, such as `distilbert`. */
  abstract readonly baseModelPrefix: string;

  constructor(device: Device) {
    super();
    this.device = device;
  }

  /** Where transformers has a class of this name, such as `transformers.models.clip.modeling_clip`; null if it has none. */
  readonly transformersModule: string | null = null;

  /** The encoder: the model itself if it has no head. */
  protected abstract get baseModel(): Module;

  /** Fills the parameters of one module as Hugging Face does for new weights. */
  abstract initWeights(module: Module): void;

  /** `config.json` of this model. */
  abstract configJson(): Record<string, unknown>;

  /**
   * From now on each block keeps only its input for backward and computes the rest again there: less memory, more time, the
   * same gradients. As `gradient_checkpointing_enable` of transformers.
   * @throws ModelsError `E_UNSUPPORTED` if no part of the model can do so
   */
  gradientCheckpointingEnable(): void {
    this.#setGradientCheckpointing(true);
  }

  /** Undoes `gradientCheckpointingEnable`. */
  gradientCheckpointingDisable(): void {
    this.#setGradientCheckpointing(false);
  }

  #setGradientCheckpointing(value: boolean): void {
    const parts = [...this.namedModules()].flatMap(([, module]) =>
      "gradientCheckpointing" in module ? [module as Module & { gradientCheckpointing: boolean }] : [],
    );
    if (parts.length === 0) {
      throw new ModelsError(
        "E_UNSUPPORTED",
        `${this.constructor.name} has no part that can compute its activations again. Train it without gradientCheckpointing.`,
      );
    }
    for (const part of parts) part.gradientCheckpointing = value;
  }

  /** Names of parameters that are stored under another name, being the same tensor. */
  tiedKeys(): readonly string[] {
    return [];
  }

  /** Draws all weights anew: a model from a config alone. */
  initAllWeights(): this {
    for (const [, module] of this.namedModules()) this.initWeights(module);
    return this;
  }

  /**
   * Takes the weights of a file. Prefixes are added or dropped as the file has an encoder alone or a model with a head, and
   * what the file lacks is initialised as Hugging Face does.
   * @throws WeightsError for a tensor of another shape, or a file that has nothing of this model
   */
  async loadWeights(
    source: WeightSource,
    onProgress?: (done: number, total: number) => void,
  ): Promise<LoadingInfo> {
    const tied = new Set(this.tiedKeys());
    const wanted = [...this.stateDict()].filter(([name]) => !tied.has(name)) as [string, Parameter][];
    const renamed = this.#fileNames(source);
    const found = wanted.filter(([name]) => renamed.has(name));
    if (found.length === 0) {
      throw new WeightsError(
        "E_WEIGHTS_MISSING",
        `${source.name} holds no weight of ${this.constructor.name}: it has ${[...source.shapes.keys()].slice(0, 3).join(", ")} …, ` +
          `expected names like ${wanted[0]![0]}.`,
      );
    }
    for (const [name, parameter] of found) {
      const shape = source.shapes.get(renamed.get(name)!)!;
      if (shape.join() !== parameter.shape.join()) {
        throw new WeightsError(
          "E_WEIGHTS_SHAPE",
          `${source.name}: ${renamed.get(name)} has shape [${shape.join(", ")}], but config.json asks for [${parameter.shape.join(", ")}]. ` +
            "The config and the weights are not of the same model (or another number of labels was asked for).",
        );
      }
    }
    let done = 0;
    for (const [name, parameter] of found) {
      const values = await source.read(renamed.get(name)!);
      parameter.copy_(values);
      // Each upload is submitted on its own, so that host copies do not pile up in the queue.
      this.device.submit();
      onProgress?.(++done, found.length);
    }
    const missingKeys = wanted.filter(([name]) => !renamed.has(name)).map(([name]) => name);
    this.#initMissing(new Set(missingKeys));
    const used = new Set(found.map(([name]) => renamed.get(name)!));
    return {
      missingKeys,
      unexpectedKeys: [...source.shapes.keys()].filter((name) => !used.has(name) && !tied.has(name)),
    };
  }

  /** For each parameter of this model that the file has: its name there. */
  #fileNames(source: WeightSource): Map<string, string> {
    const prefix = `${this.baseModelPrefix}.`;
    const isBase = this.baseModel === this;
    const fileHasPrefix = [...source.shapes.keys()].some((name) => name.startsWith(prefix));
    const names = new Map<string, string>();
    for (const name of this.stateDict().keys()) {
      let inFile = name;
      if (isBase && fileHasPrefix) inFile = prefix + name;
      else if (!isBase && !fileHasPrefix && name.startsWith(prefix)) inFile = name.slice(prefix.length);
      if (source.shapes.has(inFile)) names.set(name, inFile);
    }
    return names;
  }

  /** Initialises the modules whose parameters are missing, leaving those that were loaded as they are. */
  #initMissing(missing: ReadonlySet<string>): void {
    for (const [path, module] of this.namedModules()) {
      const own = Object.entries(module).filter(
        (entry): entry is [string, Tensor] => entry[1] instanceof Tensor,
      );
      const lacks = own.filter(([name]) => missing.has(path === "" ? name : `${path}.${name}`));
      if (lacks.length === 0) continue;
      const kept = own
        .filter((entry) => !lacks.includes(entry))
        .map(([, t]) => [t, noGrad(() => t.clone())] as const);
      this.initWeights(module);
      for (const [parameter, values] of kept) {
        parameter.copy_(values);
        values.dispose();
      }
    }
  }
}

/** Hugging Face's warning about new weights; null if there are none. */
export function newlyInitializedWarning(
  model: PreTrainedModel,
  info: LoadingInfo,
  source: string,
): string | null {
  if (info.missingKeys.length === 0) return null;
  const keys = [...info.missingKeys]
    .sort()
    .map((key) => `'${key}'`)
    .join(", ");
  return (
    `Some weights of ${model.constructor.name} were not initialized from the model checkpoint at ${source} and are newly initialized: [${keys}]\n` +
    "You should probably TRAIN this model on a down-stream task to be able to use it for predictions and inference."
  );
}
