import { Conv2d, init, type Linear, noGrad, Parameter, scope, Tensor } from "@wgrad/tensor";
import { ParameterDict } from "../adapter-dict.js";
import { AdapterLayer } from "../adapter-layer.js";

/** Added to what `unmerge` divides by, as in PEFT: a vector may have reached 0. */
const TINY = 1e-8;

/**
 * A Linear layer or convolution whose output (or input: `isFeedforward`) is multiplied by trained numbers, one a feature.
 * Source: Liu et al. 2022, "Few-shot parameter-efficient fine-tuning is better and cheaper than in-context learning";
 * `peft.tuners.ia3`. Letters: I inputs, O outputs (channels of a convolution).
 */
export class IA3Layer extends AdapterLayer<Linear | Conv2d> {
  /** Linear: [O, 1], or [1, I] of the input. Convolution: [1, O, 1, 1] or [1, I, 1, 1]. */
  ia3_l = new ParameterDict();
  /** True: the input is scaled and not the output. */
  readonly isFeedforward: boolean;
  /** Names of the adapters: a new list with each change, which captured steps notice. */
  adapterNames: readonly string[] = [];

  constructor(base: Linear | Conv2d, isFeedforward: boolean) {
    super(base);
    this.isFeedforward = isFeedforward;
  }

  /** The base layer's. */
  get weight(): Parameter {
    return this.base_layer.weight;
  }

  /** The trained numbers of an adapter. */
  factors(adapter: string): Parameter {
    return this.ia3_l.get(adapter)!;
  }

  /** Adds an adapter of ones, or (for tests) of normal numbers. */
  addAdapter(adapter: string, options: { initIa3Weights: boolean }): void {
    const { device } = this.weight;
    const base = this.base_layer;
    let shape: number[];
    if (base instanceof Conv2d) shape = [1, this.isFeedforward ? base.inChannels : base.outChannels, 1, 1];
    else shape = this.isFeedforward ? [1, base.inFeatures] : [base.outFeatures, 1];
    const factors = new Parameter(Tensor.empty(device, shape));
    if (options.initIa3Weights) factors.fill_(1);
    else init.normal_(factors);
    this.ia3_l.set(adapter, factors);
    this.adapterNames = [...this.adapterNames, adapter];
  }

  deleteAdapter(adapter: string): void {
    this.ia3_l.remove(adapter);
    this.adapterNames = this.adapterNames.filter((name) => name !== adapter);
  }

  adapterParameters(adapter: string): Map<string, Parameter> {
    return new Map([["ia3_l", this.factors(adapter)]]);
  }

  /** x → y, as the base layer's. */
  forward(x: Tensor): Tensor {
    return scope(() => {
      const factors = this.acting.map((adapter) => this.#alongFeatures(adapter));
      if (factors.length === 0) return this.base_layer.forward(x);
      const factor = factors.reduce((product, next) => product.mul(next));
      if (this.isFeedforward) return this.base_layer.forward(x.mul(factor.to(x.dtype)));
      const y = this.base_layer.forward(x);
      return y.mul(factor.to(y.dtype));
    });
  }

  /** In a shape that broadcasts over the features of the layer's input or output. */
  #alongFeatures(adapter: string): Tensor {
    const factors = this.factors(adapter);
    return this.base_layer instanceof Conv2d ? factors : factors.reshape([-1]);
  }

  /** In a shape that broadcasts over the weight. */
  #alongWeight(adapter: string): Tensor {
    const factors = this.factors(adapter);
    const base = this.base_layer;
    if (!(base instanceof Conv2d)) return factors;
    if (!this.isFeedforward) return factors.transpose(0, 1);
    const { groups, outChannels, inChannels } = base;
    if (groups === 1) return factors;
    const [outs, ins] = [outChannels / groups, inChannels / groups];
    return factors.reshape([groups, 1, ins]).expand([groups, outs, ins]).reshape([outChannels, ins, 1, 1]);
  }

  protected mergeOne(adapter: string): void {
    this.weight.copy_(this.weight.mul(this.#alongWeight(adapter)));
    if (!this.isFeedforward && this.bias) this.bias.copy_(this.bias.mul(this.factors(adapter).reshape([-1])));
  }

  protected unmergeOne(adapter: string): void {
    this.weight.copy_(this.weight.div(this.#alongWeight(adapter).add(TINY)));
    if (!this.isFeedforward && this.bias)
      this.bias.copy_(this.bias.div(this.factors(adapter).reshape([-1]).add(TINY)));
  }

  /** Fills an adapter with the weighted sum of others. */
  combine(adapter: string, adapters: readonly string[], weights: readonly number[]): void {
    const target = this.factors(adapter);
    noGrad(() =>
      scope(() => {
        const terms = adapters.flatMap((name, i) =>
          this.hasAdapter(name) ? [this.factors(name).mul(weights[i]!)] : [],
        );
        if (terms.length === 0) target.zero_();
        else target.copy_(terms.reduce((sum, term) => sum.add(term)));
      }),
    );
  }
}
