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
  Tensor,
  where,
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

/** Numbers 0, 1, 2, … as ids, made on the device: a captured step uploads nothing. */
export function range(device: Device, count: number): Tensor {
  return Tensor.full(device, [count], 1, { dtype: "i32" }).cumsum(0).sub(1);
}

/**
 * A table of embeddings that has trained vectors beside the words: id -1 is the first of them, -2 the second. `PeftModel.forward`
 * puts these ids before the words of each row.
 * Source: Lester et al. 2021, "The power of scale for parameter-efficient prompt tuning"; `peft.tuners.prompt_tuning`.
 * Letters: n virtual tokens, D width.
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

  /** ids [*] (i32) → [*, D] */
  forward(ids: Tensor): Tensor {
    return scope(() => {
      const [adapter] = this.acting;
      if (adapter === undefined) return this.base_layer.forward(ids);
      const prompt = this.prompt(adapter);
      const [n, width] = prompt.shape as [number, number];
      const flat = ids.reshape([-1]);
      const words = this.base_layer.forward(flat.maximum(0));
      // Every word has a place of its own in the table, so that the gradient of none is a long sum.
      const table = cat([prompt.to(words.dtype), words], 0);
      const places = where(flat.lt(0), flat.neg().sub(1), range(ids.device, flat.numel).add(n));
      return table.indexSelect(0, places).reshape([...ids.shape, width]);
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
