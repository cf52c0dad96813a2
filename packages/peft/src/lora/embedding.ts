import {
  Dropout,
  type Embedding,
  embedding,
  init,
  linear,
  noGrad,
  Parameter,
  scope,
  Tensor,
} from "@wgrad/tensor";
import { ParameterDict } from "../adapter-dict.js";
import { LoraLayer, type LoraLayerOptions } from "./layer.js";

/**
 * A table of embeddings with low-rank adapters beside it: the row of id v is W[v] + Σ scaling · B A[:, v] over the active
 * adapters. No dropout: PEFT has none there. With DoRA each of the D columns of the table has a trained length of its own.
 * Source: `peft.tuners.lora.Embedding`. Letters: V rows, D width, r rank.
 */
export class LoraEmbedding extends LoraLayer<Embedding> {
  /** [r, V], at first zero */
  lora_embedding_A = new ParameterDict();
  /** [D, r], at first normal */
  lora_embedding_B = new ParameterDict();
  protected readonly lengthDims = 0;

  get numEmbeddings(): number {
    return this.base_layer.numEmbeddings;
  }

  get embeddingDim(): number {
    return this.base_layer.embeddingDim;
  }

  get paddingIdx(): number | null {
    return this.base_layer.paddingIdx;
  }

  /** Adds an adapter with new weights. A layer that has one of this name must not be given another. */
  addAdapter(adapter: string, options: LoraLayerOptions): void {
    const { r, scaling, dropout = 0, initLoraWeights = true, useDora = false } = options;
    const { device } = this.weight;
    const A = new Parameter(Tensor.empty(device, [r, this.numEmbeddings]));
    const B = new Parameter(Tensor.empty(device, [this.embeddingDim, r]));
    if (initLoraWeights === false) init.normal_(A);
    else A.zero_();
    init.normal_(B);
    this.lora_embedding_A.set(adapter, A);
    this.lora_embedding_B.set(adapter, B);
    this.lora_dropout.set(adapter, new Dropout(dropout));
    this.scaling = { ...this.scaling, [adapter]: scaling };
    if (useDora) this.addMagnitude(adapter);
    this.train(this.training);
  }

  override deleteAdapter(adapter: string): void {
    this.lora_embedding_A.remove(adapter);
    this.lora_embedding_B.remove(adapter);
    super.deleteAdapter(adapter);
  }

  factors(adapter: string): { A: Parameter; B: Parameter } {
    return { A: this.lora_embedding_A.get(adapter)!, B: this.lora_embedding_B.get(adapter)! };
  }

  adapterParameters(adapter: string): Map<string, Parameter> {
    const { A, B } = this.factors(adapter);
    const magnitude = this.lora_magnitude_vector.get(adapter)?.weight;
    return new Map([
      ["lora_embedding_A", A],
      ["lora_embedding_B", B],
      ...(magnitude ? ([["lora_magnitude_vector", magnitude]] as const) : []),
    ]);
  }

  /** ids [*] (i32) → [*, D] */
  forward(ids: Tensor): Tensor {
    return scope(() => {
      let y = this.base_layer.forward(ids);
      for (const adapter of this.acting) {
        const { A, B } = this.factors(adapter);
        const narrow = embedding(A.transpose(0, 1), ids, { paddingIdx: this.paddingIdx });
        const added = linear(narrow.mul(this.scaling[adapter]!), B);
        y = this.lora_magnitude_vector.get(adapter)
          ? y.add(added).mul(this.doraFactor(adapter).to(y.dtype))
          : y.add(added);
      }
      return y;
    });
  }

  deltaWeight(adapter: string): Tensor {
    const { A, B } = this.factors(adapter);
    return noGrad(() => scope(() => A.transpose(0, 1).matmul(B.transpose(0, 1)).mul(this.scaling[adapter]!)));
  }

  protected override alongWeight(numbers: Tensor): Tensor {
    return numbers.reshape([1, -1]);
  }
}
