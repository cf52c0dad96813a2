/** Prompt tuning as a method for `PeftModel`. */
import { PreTrainedModel } from "@wgrad/models";
import { cat, Embedding, Tensor } from "@wgrad/tensor";
import { PeftError } from "../errors.js";
import type { Method } from "../method.js";
import { baseModules } from "../targets.js";
import { type PromptTuningConfig, promptTuningConfig } from "./config.js";
import { PromptEmbedding } from "./layer.js";

/** What the models of `@wgrad/models` take, as far as a prompt touches it. */
interface TokenInput {
  readonly inputIds?: Tensor;
  readonly attentionMask?: Tensor | null;
  readonly cuSeqlens?: Tensor | null;
}

/** The first number among these entries of a model's `config.json`. */
function setting(json: Readonly<Record<string, unknown>>, names: readonly string[]): number | null {
  const found = names.map((name) => json[name]).find((value) => typeof value === "number");
  return (found as number | undefined) ?? null;
}

/** `peft.PromptEmbedding` with what `peft.PeftModel` does for it. */
export const PROMPT_TUNING: Method<PromptTuningConfig, PromptEmbedding> = {
  name: "prompt tuning",
  prefix: "base_model.",

  find(model) {
    const tables = baseModules(model).filter(([, module]) => module instanceof Embedding) as [
      string,
      Embedding,
    ][];
    const words = model instanceof PreTrainedModel ? setting(model.configJson(), ["vocab_size"]) : null;
    const found = tables.find(([, table]) => table.numEmbeddings === words) ?? tables[0];
    if (!found) {
      throw new PeftError(
        "E_TARGET",
        `${model.constructor.name}: prompt tuning puts vectors before the embeddings of the input, and there is no Embedding in this model.`,
      );
    }
    return new Map([found]);
  },

  resolve(model, config, paths) {
    const json = model instanceof PreTrainedModel ? model.configJson() : {};
    const table = model.getSubmodule(paths[0]!);
    const width = table instanceof PromptEmbedding ? table.weight.size(1) : (table as Embedding).embeddingDim;
    if (config.tokenDim !== null && config.tokenDim !== width) {
      throw new PeftError(
        "E_TARGET",
        `${model.constructor.name}: tokenDim is ${config.tokenDim}, the embeddings of this model have ${width}. The prompt is for another model.`,
      );
    }
    return promptTuningConfig({
      ...config,
      tokenDim: width,
      numLayers: config.numLayers ?? setting(json, ["num_hidden_layers", "n_layers"]),
      numAttentionHeads: config.numAttentionHeads ?? setting(json, ["num_attention_heads", "n_heads"]),
      numTransformerSubmodules: 1,
    });
  },

  wrap: (base) => new PromptEmbedding(base as Embedding),

  add: (layer, adapter, _path, config) =>
    layer.addAdapter(adapter, config.numVirtualTokens!, config.promptTuningInit),

  key: (_path, part) => part,

  /** Makes room for the prompt before each row. */
  input(layer, given) {
    const n = layer.virtualTokens;
    const input = given as TokenInput;
    const { inputIds, attentionMask, cuSeqlens } = input;
    if (n === 0 || !inputIds) return given;
    if (cuSeqlens) {
      throw new PeftError(
        "E_ADAPTER",
        "prompt tuning puts vectors before each row, which rows one behind the other (cuSeqlens) have no room for. Pad the batch instead (dataCollatorWithPadding).",
      );
    }
    const rows = inputIds.size(0);
    // Any id will do: the layer looks at none of them.
    const ids = cat([inputIds.narrow(1, 0, 1).expand([rows, n]), inputIds], 1);
    const mask =
      attentionMask &&
      cat([Tensor.full(inputIds.device, [rows, n], 1, { dtype: "i32" }), attentionMask.to("i32")], 1);
    return { ...input, inputIds: ids, attentionMask: mask ?? null, positionIds: null };
  },

  combinedConfig() {
    throw new PeftError(
      "E_ADAPTER",
      "addWeightedAdapter: prompts cannot be added up; choose one with setAdapter.",
    );
  },

  combine() {},
};
