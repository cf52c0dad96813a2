/** LoRA and DoRA as a method for `PeftModel`. */
import { Conv2d, cat, Embedding, Linear, type Module, noGrad, scope, Tensor } from "@wgrad/tensor";
import { PeftError } from "../errors.js";
import type { Method } from "../method.js";
import { endMatches, findTargets, patternValue } from "../targets.js";
import { type LoraConfig, loraConfig } from "./config.js";
import { LoraConv2d } from "./conv2d.js";
import { LoraEmbedding } from "./embedding.js";
import { LoraLinear } from "./linear.js";

/** A layer with low-rank adapters. */
export type AnyLoraLayer = LoraLinear | LoraEmbedding | LoraConv2d;

/** True for a path in one of the layers of `layersToTransform`. */
function inLayers(config: LoraConfig): ((path: string) => boolean) | undefined {
  const wanted = [config.layersToTransform ?? []].flat();
  if (wanted.length === 0) return undefined;
  const patterns = [config.layersPattern ?? []].flat();
  // The first number of a path is the layer's; those behind it count parts of the layer.
  const expressions =
    patterns.length === 0
      ? [/^.*?\.[^.]*\.(\d+)\./]
      : patterns.map((pattern) => new RegExp(`^(?:.*?\\.)?${pattern}\\.(\\d+)\\.`));
  return (path) => {
    const number = expressions.map((expression) => expression.exec(path)?.[1]).find((found) => found);
    return number !== undefined && wanted.includes(Number(number));
  };
}

function maxRank({ r, rankPattern }: LoraConfig): number {
  return Math.max(r, ...Object.values(rankPattern));
}

/** `peft.LoraModel`. */
export const LORA: Method<LoraConfig, AnyLoraLayer> = {
  name: "LoRA",
  prefix: "base_model.model.",

  find(model, config, strict) {
    const keeps = inLayers(config);
    const rule = { method: "LoRA", layers: [Linear, Embedding, Conv2d], ...(keeps ? { keeps } : {}) };
    const targets = findTargets(model, config, rule, strict);
    for (const [path, layer] of targets) {
      if (!(layer instanceof Conv2d)) continue;
      if (layer.groups === 1 && layer.dilation.every((step) => step === 1)) continue;
      throw new PeftError(
        "E_TARGET",
        `${model.constructor.name}: ${path} is a convolution in groups or with dilation, whose adapter could not be merged. Leave it out.`,
      );
    }
    for (const setting of strict ? (["rankPattern", "alphaPattern"] as const) : []) {
      for (const key of Object.keys(config[setting])) {
        if ([...targets.keys()].some((path) => endMatches(key, path))) continue;
        throw new PeftError(
          "E_TARGET",
          `${model.constructor.name}: ${setting}: no adapted layer ends with "${key}". They are ${[...targets.keys()].join(", ")}.`,
        );
      }
    }
    return targets;
  },

  resolve(_model, config, paths) {
    const { targetModules } = config;
    return loraConfig({ ...config, targetModules: targetModules === "all-linear" ? paths : targetModules });
  },

  wrap(base) {
    if (base instanceof Embedding) return new LoraEmbedding(base);
    return base instanceof Conv2d ? new LoraConv2d(base) : new LoraLinear(base as Linear);
  },

  add(layer, adapter, path, config) {
    const r = patternValue(config.rankPattern, path, config.r);
    const alpha = patternValue(config.alphaPattern, path, config.loraAlpha);
    layer.addAdapter(adapter, {
      r,
      scaling: alpha / (config.useRslora ? Math.sqrt(r) : r),
      dropout: config.loraDropout,
      initLoraWeights: config.initLoraWeights,
      useDora: config.useDora,
    });
  },

  key: (path, part) => `base_model.model.${path}.${part}`,

  combinedConfig(configs, { combinationType }) {
    const first = configs[0]!;
    const fail = (message: string) => new PeftError("E_ADAPTER", `addWeightedAdapter: ${message}`);
    if (configs.some((config) => config.useDora))
      throw fail("the magnitudes of DoRA cannot be added up. Merge the adapters one by one instead.");
    const same = configs.every(
      (config) =>
        config.r === first.r && JSON.stringify(config.rankPattern) === JSON.stringify(first.rankPattern),
    );
    if (combinationType === "linear" && !same) {
      throw fail(
        `"linear" needs adapters of the same r and rankPattern; these have r ${configs.map((config) => config.r).join(", ")}. Use combinationType "cat".`,
      );
    }
    const lists = configs.map((config) => config.targetModules);
    if (lists.some((list) => typeof list !== typeof lists[0]))
      throw fail("the targetModules of all must be lists, or expressions in all.");
    const targetModules =
      typeof lists[0] === "string"
        ? lists.map((list) => `(${list})`).join("|")
        : [...new Set(lists.flatMap((list) => list ?? []))];
    const r = combinationType === "cat" ? configs.reduce((sum, config) => sum + maxRank(config), 0) : first.r;
    const rankPattern = combinationType === "cat" ? {} : first.rankPattern;
    // The weights and scales go into A and B: alpha is the rank, so that the new scale is 1.
    return loraConfig({
      ...first,
      targetModules,
      r,
      loraAlpha: r,
      rankPattern,
      alphaPattern: rankPattern,
      useRslora: false,
    });
  },

  combine(layer, adapter, { adapters, weights, combinationType }) {
    const parts = adapters.flatMap((name, i) =>
      layer.hasAdapter(name) ? [{ ...layer.factors(name), weight: weights[i]! * layer.scaling[name]! }] : [],
    );
    const { A, B } = layer.factors(adapter);
    const narrow = layer instanceof LoraConv2d ? [A.size(0), A.numel / A.size(0)] : A.shape;
    const wide = layer instanceof LoraConv2d ? [B.size(0), B.size(1)] : B.shape;
    noGrad(() =>
      scope(() => {
        if (parts.length === 0) {
          A.zero_();
          B.zero_();
        } else if (combinationType === "cat") {
          const { device } = A;
          const used = parts.reduce((sum, part) => sum + part.A.size(0), 0);
          const spare = A.size(0) - used;
          const rows = parts.map((part) => part.A.reshape([-1, narrow[1]!]).mul(part.weight));
          const columns: Tensor[] = parts.map((part) => part.B.reshape([wide[0]!, -1]));
          if (spare > 0) {
            rows.push(Tensor.zeros(device, [spare, narrow[1]!]));
            columns.push(Tensor.zeros(device, [wide[0]!, spare]));
          }
          A.copy_(cat(rows, 0));
          B.copy_(cat(columns, 1));
        } else {
          const root = (weight: number) => Math.sqrt(Math.abs(weight));
          const sum = (terms: Tensor[]) => terms.reduce((total, term) => total.add(term));
          A.copy_(sum(parts.map((part) => part.A.mul(Math.sign(part.weight) * root(part.weight)))));
          B.copy_(sum(parts.map((part) => part.B.mul(root(part.weight)))));
        }
      }),
    );
  },
};

/** The layers of a model that have low-rank adapters, by path. */
export function loraLayersOf(layers: ReadonlyMap<string, Module>): ReadonlyMap<string, AnyLoraLayer> {
  const isLora = (layer: Module): layer is AnyLoraLayer =>
    layer instanceof LoraLinear || layer instanceof LoraEmbedding || layer instanceof LoraConv2d;
  return new Map([...layers].filter((entry): entry is [string, AnyLoraLayer] => isLora(entry[1])));
}
