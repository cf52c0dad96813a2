import { type Device, LayerNorm, Linear, Module, ModuleList, scope, type Tensor } from "@wgrad/tensor";
import {
  type AttentionRange,
  type BaseModelOutput,
  type ForwardOptions,
  runBlocks,
  selfAttention,
  twoLinears,
} from "../transformer.js";
import type { CLIPTowerConfig } from "./config.js";
import { drawnWith } from "./init.js";

class CLIPAttention extends Module {
  k_proj: Linear;
  v_proj: Linear;
  q_proj: Linear;
  out_proj: Linear;
  readonly #heads: number;
  readonly #dropoutP: number;

  constructor(device: Device, config: CLIPTowerConfig) {
    super();
    const { hiddenSize, numHiddenLayers, initializerFactor } = config;
    this.#heads = config.numAttentionHeads;
    this.#dropoutP = config.attentionDropout;
    const out = hiddenSize ** -0.5 * initializerFactor;
    const into = out * (2 * numHiddenLayers) ** -0.5;
    const projection = (std: number) => drawnWith(new Linear(device, hiddenSize, hiddenSize), std);
    this.k_proj = projection(into);
    this.v_proj = projection(into);
    this.q_proj = projection(into);
    this.out_proj = projection(out);
  }

  /** @param x [B, T, D] */
  forward(
    x: Tensor,
    range: AttentionRange,
    outputAttentions: boolean,
  ): { context: Tensor; weights: Tensor | null } {
    const layers = { q: this.q_proj, k: this.k_proj, v: this.v_proj, out: this.out_proj };
    return selfAttention(layers, x, this.#heads, range, this.training ? this.#dropoutP : 0, outputAttentions);
  }
}

class CLIPMLP extends Module {
  fc1: Linear;
  fc2: Linear;
  readonly #activation: CLIPTowerConfig["hiddenAct"];

  constructor(device: Device, config: CLIPTowerConfig) {
    super();
    const { hiddenSize, intermediateSize, numHiddenLayers, initializerFactor } = config;
    this.fc1 = drawnWith(
      new Linear(device, hiddenSize, intermediateSize),
      (2 * hiddenSize) ** -0.5 * initializerFactor,
    );
    this.fc2 = drawnWith(
      new Linear(device, intermediateSize, hiddenSize),
      hiddenSize ** -0.5 * (2 * numHiddenLayers) ** -0.5 * initializerFactor,
    );
    this.#activation = config.hiddenAct;
  }

  forward(x: Tensor): Tensor {
    return twoLinears(this.fc1, this.fc2, x, this.#activation);
  }
}

/** A pre-norm block: x + attention(norm(x)), then that + mlp(norm(that)). */
class CLIPEncoderLayer extends Module {
  self_attn: CLIPAttention;
  layer_norm1: LayerNorm;
  mlp: CLIPMLP;
  layer_norm2: LayerNorm;

  constructor(device: Device, config: CLIPTowerConfig) {
    super();
    const { hiddenSize, layerNormEps: eps } = config;
    this.self_attn = new CLIPAttention(device, config);
    this.layer_norm1 = new LayerNorm(device, hiddenSize, { eps });
    this.mlp = new CLIPMLP(device, config);
    this.layer_norm2 = new LayerNorm(device, hiddenSize, { eps });
  }

  forward(
    x: Tensor,
    range: AttentionRange,
    outputAttentions: boolean,
  ): { output: Tensor; weights: Tensor | null } {
    return scope(() => {
      const { context, weights } = this.self_attn.forward(
        this.layer_norm1.forward(x),
        range,
        outputAttentions,
      );
      const attended = x.add(context);
      const output = attended.add(this.mlp.forward(this.layer_norm2.forward(attended)));
      return { output, weights };
    });
  }
}

/** The blocks of a tower. */
export class CLIPEncoder extends Module {
  layers: ModuleList<CLIPEncoderLayer>;
  /** In training, keep only what goes into each block and compute the rest again in backward. */
  gradientCheckpointing = false;

  constructor(device: Device, config: CLIPTowerConfig) {
    super();
    this.layers = new ModuleList(
      Array.from({ length: config.numHiddenLayers }, () => new CLIPEncoderLayer(device, config)),
    );
  }

  /** @param x [B, T, D] */
  forward(x: Tensor, range: AttentionRange, options: ForwardOptions): BaseModelOutput {
    return runBlocks([...this.layers], x, range, options, this.gradientCheckpointing && this.training);
  }
}

/** Output of a tower. Letters: B batch, T positions, D width. */
export interface BaseModelOutputWithPooling extends BaseModelOutput {
  /** [B, D] */
  poolerOutput: Tensor;
}
