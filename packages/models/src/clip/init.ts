import { init, LayerNorm, Linear, type Module } from "@wgrad/tensor";

const deviations = new WeakMap<Module, number>();

/** Says with which standard deviation the weight of a layer is drawn: CLIP's depend on where a layer stands. */
export function drawnWith<M extends Module>(layer: M, std: number): M {
  deviations.set(layer, std);
  return layer;
}

/** Fills a layer as `_init_weights` of Hugging Face's CLIP does: weights normal, biases 0, LayerNorm 1 and 0. */
export function initLayer(module: Module, initializerRange: number): void {
  if (module instanceof LayerNorm) {
    module.weight.fill_(1);
    module.bias.zero_();
    return;
  }
  const std = deviations.get(module) ?? (module instanceof Linear ? initializerRange : undefined);
  if (std === undefined) return;
  const { weight, bias } = module as Partial<Pick<Linear, "weight" | "bias">>;
  if (weight) init.normal_(weight, 0, std);
  bias?.zero_();
}
