import { noGrad, scope } from "../autograd/modes.js";
import type { Device } from "../device/device.js";
import { f32, type Kernel, live } from "../device/kernel.js";
import { at } from "../device/place.js";
import { setUp } from "../device/recording.js";
import { ValueError } from "../errors.js";
import { writeInto } from "../ops/views/index.js";
import { Tensor } from "../tensor.js";
import { gradNorm, scaleGradients } from "./clip-grad-norm.js";
import type { Optimizer } from "./optimizer.js";
import updateSource from "./scaler-update.wgsl";

const updateKernel: Kernel = { name: "grad-scaler/update", source: updateSource };

/** Options of `GradScaler`, with PyTorch's names and defaults. */
export interface GradScalerOptions {
  /** Scale at the start. Default 65,536. */
  initScale?: number;
  /** Factor of the scale after `growthInterval` steps without an infinite gradient. Default 2. */
  growthFactor?: number;
  /** Factor of the scale after a step with one. Default 0.5. */
  backoffFactor?: number;
  /** Default 2,000. */
  growthInterval?: number;
  /** Without it nothing is scaled and no step is skipped. Default true. */
  enabled?: boolean;
}

/** What a checkpoint keeps of a scaler: the keys of `torch.amp.GradScaler.state_dict`, and the steps skipped so far. */
export interface GradScalerState {
  scale: number;
  growth_factor: number;
  backoff_factor: number;
  growth_interval: number;
  _growth_tracker: number;
  skipped_steps: number;
}

/** Options of `GradScaler.step`. */
export interface ScaledStepOptions {
  /** Clips the gradients (after unscaling) to this joint norm, on the way into the optimizer. Default: no limit. */
  maxNorm?: number;
}

type AnyOptimizer = Pick<Optimizer<{ lr: number | null }>, "step"> & {
  readonly paramGroups: readonly { readonly params: readonly Tensor[] }[];
};

/** An optimizer's part of an iteration. */
interface Stage {
  readonly foundInf: Tensor;
  readonly stepped: boolean;
}

/**
 * Keeps small gradients of an f16 computation from vanishing: the loss is multiplied by a scale, the gradients are divided by
 * it, and a step whose gradients are not finite is skipped. As `torch.amp.GradScaler`, but nothing is read back: whether a
 * step is skipped, and the scale of the next one, are decided on the GPU. It may be part of a captured step.
 *
 *     const loss = autocast("f16", () => model.forward(batch).loss);
 *     scaler.scale(loss).backward();
 *     scaler.step(optimizer, { maxNorm: 1 });
 *     scaler.update();
 *     optimizer.zeroGrad();
 *
 * Source: Micikevicius et al. 2018, "Mixed precision training".
 */
export class GradScaler {
  readonly device: Device;
  readonly enabled: boolean;
  #growthFactor: number;
  #backoffFactor: number;
  #growthInterval: number;
  /** Scale, steps since it changed, steps skipped, 0. */
  readonly #state: Tensor;
  /** The scale, 0-d: a part of `#state`. */
  readonly #scale: Tensor;
  readonly #stages = new Map<object, Stage>();

  /** @throws ValueError for factors that do not grow or shrink */
  constructor(device: Device, options: GradScalerOptions = {}) {
    const { initScale = 65536, growthFactor = 2, backoffFactor = 0.5, growthInterval = 2000 } = options;
    if (!(growthFactor > 1)) throw new ValueError(`GradScaler: growthFactor ${growthFactor} must be over 1.`);
    if (!(backoffFactor > 0 && backoffFactor < 1))
      throw new ValueError(`GradScaler: backoffFactor ${backoffFactor} must lie between 0 and 1.`);
    this.device = device;
    this.enabled = options.enabled ?? true;
    this.#growthFactor = growthFactor;
    this.#backoffFactor = backoffFactor;
    this.#growthInterval = growthInterval;
    this.#state = setUp(() => Tensor.from(device, Float32Array.of(initScale, 0, 0, 0), [4]).keep());
    this.#scale = new Tensor(this.#state.storage, [], [], 0, "f32").keep();
  }

  /** A loss (or any tensor to start backward from) times the scale. */
  scale(loss: Tensor): Tensor {
    // A copy of the scale: `update` changes it, and backward wants the one of this iteration.
    return this.enabled ? loss.mul(noGrad(() => this.#scale.clone())) : loss;
  }

  /**
   * Divides the gradients of an optimizer's parameters by the scale, in place, for code that looks at them before `step`
   * (`clipGradNorm_`). Without it `step` does so on the way, which takes no pass of its own.
   * @throws ValueError if it was called since the last `update`
   */
  unscale_(optimizer: AnyOptimizer): void {
    if (!this.enabled) return;
    if (this.#stages.has(optimizer)) {
      throw new ValueError(
        "GradScaler.unscale_: the gradients of this optimizer were unscaled, or used, since the last update().",
      );
    }
    const params = paramsOf(optimizer);
    scope(() => {
      const { coefficient, foundInf } = gradNorm(params, { scale: this.#scale });
      scaleGradients(params, coefficient);
      this.#stages.set(optimizer, { foundInf: foundInf.keep(), stepped: false });
    });
  }

  /**
   * The optimizer's step with unscaled gradients, unless one of them is infinite or NaN.
   * @returns the norm of the unscaled gradients, 0-d; null if `unscale_` was called before (or without `enabled` and `maxNorm`)
   * @throws ValueError on a second call without `update`
   */
  step(optimizer: AnyOptimizer, options: ScaledStepOptions = {}): Tensor | null {
    const { maxNorm } = options;
    const params = paramsOf(optimizer);
    const stage = this.#stages.get(optimizer);
    if (stage?.stepped)
      throw new ValueError("GradScaler.step: it was called before; update() must come between two steps.");
    if (stage && maxNorm !== undefined) {
      throw new ValueError(
        "GradScaler.step: maxNorm has no effect after unscale_. Call clipGradNorm_, or leave unscale_ out.",
      );
    }
    if (stage) {
      optimizer.step({ foundInf: stage.foundInf });
      this.#stages.set(optimizer, { ...stage, stepped: true });
      return null;
    }
    if (!this.enabled && maxNorm === undefined) {
      optimizer.step();
      return null;
    }
    return scope(() => {
      const scale = this.enabled ? this.#scale : undefined;
      const { norm, coefficient, foundInf } = gradNorm(params, { maxNorm, scale });
      optimizer.step({ gradScale: coefficient, ...(this.enabled ? { foundInf } : {}) });
      if (this.enabled) this.#stages.set(optimizer, { foundInf: foundInf.keep(), stepped: true });
      return norm;
    });
  }

  /**
   * The scale for the next iteration: smaller if a step was skipped, larger after `growthInterval` that were not.
   * @param newScale sets it
   * @throws ValueError if no step was made since the last call
   */
  update(newScale?: number): void {
    if (!this.enabled) return;
    const found = [...this.#stages.values()].map(({ foundInf }) => foundInf);
    if (newScale === undefined && found.length === 0)
      throw new ValueError("GradScaler.update: call step(optimizer) before.");
    noGrad(() =>
      scope(() =>
        at({ phase: "optimizer", op: "grad_scaler" }, () => {
          if (found.length > 0) {
            const any = found.reduce((a, b) => a.maximum(b));
            this.device.run(updateKernel, {
              buffers: [any.storage.buffer, this.#state.storage.buffer],
              params: [
                any.offset,
                live(() => f32(this.#growthFactor)),
                live(() => f32(this.#backoffFactor)),
                live(() => f32(this.#growthInterval)),
              ],
              grid: [1, 1, 1],
            });
          }
          if (newScale !== undefined) writeInto(this.#scale, Tensor.full(this.device, [], newScale));
          this.#state.storage.version++;
        }),
      ),
    );
    for (const tensor of found) tensor.dispose();
    this.#stages.clear();
  }

  /** The scale now. Waits for the GPU. */
  async getScale(): Promise<number> {
    return this.enabled ? this.#scale.item() : 1;
  }

  /** Number of steps skipped so far. Waits for the GPU. */
  async getSkippedSteps(): Promise<number> {
    return (await this.#state.toArray())[2]!;
  }

  /** State for a checkpoint. Waits for the GPU. */
  async stateDict(): Promise<GradScalerState> {
    const [scale, tracker, skipped] = await this.#state.toArray();
    return {
      scale: scale!,
      growth_factor: this.#growthFactor,
      backoff_factor: this.#backoffFactor,
      growth_interval: this.#growthInterval,
      _growth_tracker: tracker!,
      skipped_steps: skipped!,
    };
  }

  /** Goes on from a state that `stateDict` gave. */
  loadStateDict(state: GradScalerState): void {
    this.#growthFactor = state.growth_factor;
    this.#backoffFactor = state.backoff_factor;
    this.#growthInterval = state.growth_interval;
    this.#state.copy_(Float32Array.of(state.scale, state._growth_tracker, state.skipped_steps, 0));
  }

  /** Frees the state. */
  dispose(): void {
    for (const { foundInf } of this.#stages.values()) foundInf.dispose();
    this.#stages.clear();
    this.#scale.dispose();
    this.#state.dispose();
  }
}

function paramsOf(optimizer: AnyOptimizer): Tensor[] {
  return optimizer.paramGroups.flatMap(({ params }) => [...params]);
}
