/** (IA)³ as a method for `PeftModel`. */
import { Conv2d, Linear } from "@wgrad/tensor";
import { PeftError } from "../errors.js";
import type { Method } from "../method.js";
import { findTargets } from "../targets.js";
import { type IA3Config, ia3Config } from "./config.js";
import { IA3Layer } from "./layer.js";

/** Whether the input of a layer is scaled: an ending of its path as plain text, or an expression for all of it, as in PEFT. */
function isFeedforward({ feedforwardModules }: IA3Config, path: string): boolean {
  if (typeof feedforwardModules === "string") return new RegExp(`^(?:${feedforwardModules})$`).test(path);
  return (feedforwardModules ?? []).some((name) => path.endsWith(name));
}

const joined = (lists: readonly (readonly string[] | string | null)[]) => {
  if (lists.some((list) => typeof list === "string") && lists.some((list) => Array.isArray(list))) {
    throw new PeftError(
      "E_ADAPTER",
      "addWeightedAdapter: the modules of all adapters must be lists, or expressions in all.",
    );
  }
  if (typeof lists[0] === "string") return lists.map((list) => `(${list})`).join("|");
  const names = lists.flatMap((list) => list ?? []);
  return names.length > 0 ? [...new Set(names)] : null;
};

/** `peft.IA3Model`. */
export const IA3: Method<IA3Config, IA3Layer> = {
  name: "(IA)³",
  prefix: "base_model.model.",

  find: (model, config, strict) =>
    findTargets(model, config, { method: "(IA)³", layers: [Linear, Conv2d] }, strict),

  resolve(_model, config, paths) {
    const { targetModules } = config;
    return ia3Config({ ...config, targetModules: targetModules === "all-linear" ? paths : targetModules });
  },

  wrap: (base, path, config) => new IA3Layer(base as Linear | Conv2d, isFeedforward(config, path)),

  add(layer, adapter, path, config) {
    if (layer.isFeedforward !== isFeedforward(config, path)) {
      throw new PeftError(
        "E_TARGET",
        `${path} is ${layer.isFeedforward ? "" : "not "}among the feedforwardModules of another adapter of this model; it cannot be so for one and not for the other.`,
      );
    }
    layer.addAdapter(adapter, config);
  },

  key: (path, part) => `base_model.model.${path}.${part}`,

  combinedConfig(configs) {
    return ia3Config({
      ...configs[0]!,
      targetModules: joined(configs.map((config) => config.targetModules)),
      feedforwardModules: joined(configs.map((config) => config.feedforwardModules)),
    });
  },

  combine: (layer, adapter, { adapters, weights }) => layer.combine(adapter, adapters, weights),
};
