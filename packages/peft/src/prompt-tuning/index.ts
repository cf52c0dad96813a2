/** Prompt tuning as a method for `PeftModel`. */
import { PreTrainedModel } from "@wgrad/models";
import { cat, Embedding, Tensor, where } from "@wgrad/tensor";
import { PeftError } from "../errors.js";
import type { Method } from "../method.js";
import { baseModules } from "../targets.js";
import { type PromptTuningConfig, promptTuningConfig } from "./config.js";
import { PromptEmbedding, range } from "./layer.js";

/** What the models of `@wgrad/models` take, as far as a prompt touches it. */
interface TokenInput {
  readonly inputIds?: Tensor;
  readonly attentionMask?: Tensor | null;
  readonly positionIds?: Tensor | null;
  readonly cuSeqlens?: Tensor | null;
}

/** The first number among these entries of a model's `config.json`. */
function setting(json: Readonly<Record<string, unknown>>, names: readonly string[]): number | null {
  const found = names.map((name) => json[name]).find((value) => typeof value === "number");
  return (found as number | undefined) ?? null;
}

/** Rows padded to one length [B, T] with n places more in front, which are attended to. */
function withPromptInFront(inputIds: Tensor, n: number, input: TokenInput): TokenInput {
  const { device } = inputIds;
  const rows = inputIds.size(0);
  const ids = cat([range(device, n).add(1).neg().expand([rows, n]), inputIds.to("i32")], 1);
  const ones = () => Tensor.full(device, [rows, n], 1, { dtype: "i32" });
  const mask = input.attentionMask && cat([ones(), input.attentionMask.to("i32")], 1);
  return { ...input, inputIds: ids, attentionMask: mask ?? null, positionIds: null };
}

/** Rows one behind the other [T] with n places more in front of each. What belongs to no row stays behind the last. */
function withPromptInLine(inputIds: Tensor, cuSeqlens: Tensor, n: number, input: TokenInput): TokenInput {
  const { device } = inputIds;
  const rows = cuSeqlens.numel - 1;
  const total = inputIds.numel + rows * n;
  const starts = cuSeqlens.add(range(device, rows + 1).mul(n));
  const place = range(device, total);
  const ends = starts.narrow(0, 1, rows).reshape([1, rows]);
  const row = place.reshape([total, 1]).ge(ends).to("i32").sum(1);
  const isSpare = row.ge(rows);
  const inRow = place.sub(starts.indexSelect(0, row));
  const isPrompt = inRow.maskedFill(isSpare, n).lt(n);
  const word = place.sub(row.add(1).minimum(rows).mul(n)).clamp(0, inputIds.numel - 1);
  const ids = where(isPrompt, inRow.add(1).neg(), inputIds.to("i32").indexSelect(0, word));
  return { ...input, inputIds: ids, cuSeqlens: starts, positionIds: inRow.maskedFill(isSpare, 0) };
}

/** `peft.PromptEmbedding` with what `peft.PeftModel` does for it. */
export const PROMPT_TUNING: Method<PromptTuningConfig, PromptEmbedding> = {
  name: "prompt tuning",
  prefix: "base_model.",

  find(model, config) {
    if (config.numVirtualTokens === null) {
      throw new PeftError(
        "E_TARGET",
        `${model.constructor.name}: numVirtualTokens is not set: how many vectors to train before each row, such as 20.`,
      );
    }
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

  input(layer, given) {
    const n = layer.virtualTokens;
    const input = given as TokenInput;
    if (n === 0 || !input.inputIds) return given;
    return input.cuSeqlens
      ? withPromptInLine(input.inputIds, input.cuSeqlens, n, input)
      : withPromptInFront(input.inputIds, n, input);
  },

  combinedConfig() {
    throw new PeftError(
      "E_ADAPTER",
      "addWeightedAdapter: prompts cannot be added up; choose one with setAdapter.",
    );
  },

  combine() {},
};
