import {
  cat,
  type Device,
  Embedding,
  init,
  Module,
  noGrad,
  type Parameter,
  randint,
  scope,
  skipInit,
  type Tensor,
} from "@wgrad/tensor";
import { ModuleDict } from "../adapter-dict.js";
import { AdapterLayer } from "../adapter-layer.js";
import { PeftError } from "../errors.js";
import type { PromptTuningConfig } from "./config.js";

/** The trained vectors of an adapter: `prompt_encoder.default.embedding.weight`. */
export class PromptEncoder extends Module {
  /** weight [virtual tokens, width] */
  embedding: Embedding;

  constructor(device: Device, tokens: number, width: number) {
    super();
    this.embedding = skipInit(() => new Embedding(device, tokens, width));
  }
}

/**
 * A table of embeddings that gives the first places of every row trained vectors in place of words. What stands at these
 * places of the ids is not looked at: `PeftModel.forward` puts them there.
 * Source: Lester et al. 2021, "The power of scale for parameter-efficient prompt tuning"; `peft.tuners.prompt_tuning`.
 * Letters: B batch, n virtual tokens, T ids a row with them, D width.
 */
export class PromptEmbedding extends AdapterLayer<Embedding> {
  prompt_encoder = new ModuleDict<PromptEncoder>();

  get adapterNames(): readonly string[] {
    return this.prompt_encoder.namedChildren().map(([name]) => name);
  }

  /** The base layer's. */
  get weight(): Parameter {
    return this.base_layer.weight;
  }

  /** Number of virtual tokens that act now. */
  get virtualTokens(): number {
    const [adapter] = this.acting;
    return adapter === undefined ? 0 : this.prompt(adapter).size(0);
  }

  /** [n, D] */
  prompt(adapter: string): Parameter {
    return this.prompt_encoder.get(adapter)!.embedding.weight;
  }

  /** Adds an adapter with new vectors. */
  addAdapter(adapter: string, tokens: number, start: PromptTuningConfig["promptTuningInit"]): void {
    const { device } = this.weight;
    const { numEmbeddings, embeddingDim } = this.base_layer;
    const encoder = new PromptEncoder(device, tokens, embeddingDim);
    const { weight } = encoder.embedding;
    if (start === "SAMPLE_VOCAB") {
      noGrad(() =>
        scope(() => weight.copy_(this.weight.indexSelect(0, randint(device, 0, numEmbeddings, [tokens])))),
      );
    } else init.normal_(weight);
    this.prompt_encoder.set(adapter, encoder);
  }

  deleteAdapter(adapter: string): void {
    this.prompt_encoder.remove(adapter);
  }

  adapterParameters(adapter: string): Map<string, Parameter> {
    return new Map([["prompt_embeddings", this.prompt(adapter)]]);
  }

  /** ids [B, T] (i32) → [B, T, D] */
  forward(ids: Tensor): Tensor {
    return scope(() => {
      const [adapter] = this.acting;
      if (adapter === undefined) return this.base_layer.forward(ids);
      const prompt = this.prompt(adapter);
      const n = prompt.size(0);
      const words = this.base_layer.forward(ids.narrow(1, n, ids.size(1) - n));
      const vectors = prompt.to(words.dtype).expand([ids.size(0), n, prompt.size(1)]);
      return cat([vectors, words], 1);
    });
  }

  protected mergeOne(): void {
    throw new PeftError(
      "E_ADAPTER",
      "a prompt stands before the input and is no part of a weight: it cannot be merged. Keep the PeftModel, or call unload().",
    );
  }

  protected unmergeOne(): void {}
}
