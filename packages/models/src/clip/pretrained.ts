import type { Device, Module } from "@wgrad/tensor";
import { PreTrainedModel } from "../pretrained-model.js";
import { type CLIPConfig, clipConfigJson } from "./config.js";
import { initLayer } from "./init.js";

/** Base of the CLIP models: config, and how new weights are drawn. Each is made from the config of the whole model. */
export abstract class CLIPPreTrainedModel extends PreTrainedModel {
  readonly config: CLIPConfig;
  override readonly baseModelPrefix: string = "clip";
  override readonly transformersModule: string | null = "transformers.models.clip.modeling_clip";

  constructor(device: Device, config: CLIPConfig) {
    super(device);
    this.config = config;
  }

  override configJson(): Record<string, unknown> {
    return clipConfigJson(this.config, this.constructor.name, false);
  }

  /** Standard deviations by the place of a layer: `CLIPPreTrainedModel._init_weights` of Hugging Face. */
  override initWeights(module: Module): void {
    const { textConfig } = this.config;
    initLayer(module, textConfig.initializerRange);
    if ("initOwnWeights" in module) (module as OwnWeights).initOwnWeights();
  }

  protected override get baseModel(): Module {
    return this;
  }
}

/** A part with parameters that belong to no layer. */
export interface OwnWeights extends Module {
  initOwnWeights(): void;
}
