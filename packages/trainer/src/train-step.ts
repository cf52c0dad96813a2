import { type CapturedStep, capture, gradNorm, scope, Tensor } from "@wgrad/tensor";
import type { QueuedBatch } from "./batch-queue.js";
import type { CallbackHandler } from "./callback-handler.js";
import { itemsOf, type ModelInputs } from "./model-inputs.js";
import { inPrecision, prepared } from "./precision.js";
import type { LrScheduler } from "./schedule.js";
import type { Trainer } from "./trainer.js";

/** What changes from step to step and is no part of the batch; tensors, so that a recorded step can be replayed. */
type Shares = {
  /** 0-d f32: share of the step's items that are in this part; null for all of them. */
  readonly share: Tensor | null;
  /** 0-d f32: items of the whole step, where the loss asks for it. */
  readonly items: Tensor | null;
};

type Part = (inputs: ModelInputs, shares: Shares, last: boolean) => { gradNorm: Tensor | null };

/**
 * The optimizer step of a training run: forward and backward of each part, then clipping and the update. Parts are recorded once
 * for each shape and replayed; nothing is read back.
 */
export class TrainStep {
  /** 0-d: losses since the last log, added up on the device. */
  readonly lossSum: Tensor;
  /** 0-d: joint norm of the last step's gradients before clipping; null where it was not computed. */
  gradNorm: Tensor | null = null;
  /** Dispatches of all steps. */
  dispatches = 0;
  #steps = 0;
  readonly #trainer: Trainer;
  readonly #handler: CallbackHandler;
  readonly #scheduler: LrScheduler;
  /** Rates that the groups were made with: where they differ, they keep their proportions. */
  readonly #initialRates: readonly (number | null)[];
  readonly #captured: CapturedStep<[ModelInputs, Shares, boolean], ReturnType<Part>> | null;
  readonly #part: Part;

  constructor(trainer: Trainer, handler: CallbackHandler, scheduler: LrScheduler) {
    this.#trainer = trainer;
    this.#handler = handler;
    this.#scheduler = scheduler;
    this.lossSum = Tensor.zeros(trainer.device, []);
    this.#initialRates = trainer.optimizer!.paramGroups.map((group) => group.lr);
    const part: Part = (inputs, shares, last) => this.#compute(inputs, shares, last);
    this.#captured = trainer.args.capture ? capture(part) : null;
    this.#part = this.#captured ?? ((...given) => scope(() => part(...given)));
  }

  /** Makes one step; enqueues everything, and waits for nothing once it is warm. */
  async run(batches: readonly QueuedBatch[]): Promise<void> {
    const { device } = this.#trainer;
    const before = device.snapshot().dispatches;
    this.#setRates();
    const items = batches.map(({ batch }) => itemsOf(batch));
    const total = items.reduce((sum, n) => sum + n, 0);
    // A part without a single label has no loss, and no gradient.
    const used = batches.flatMap(({ batch }, i) => (items[i]! > 0 ? [{ batch, items: items[i]! }] : []));
    const observes = this.#trainer.control.shouldObserveGradients;
    for (const [i, { batch, items: own }] of used.entries()) {
      const last = i === used.length - 1;
      const enqueue = (compute: (inputs: ModelInputs, shares: Shares) => ReturnType<Part>) =>
        this.#enqueue(() =>
          scope(() => compute(this.#trainer.prepareInputs(batch), this.#shares(own, total))),
        );
      let result: ReturnType<Part>;
      if (observes) {
        result = await enqueue((inputs, shares) => this.#compute(inputs, shares, false));
        if (last) await this.#handler.call("onPreOptimizerStep");
        if (last) result = await this.#enqueue(() => scope(() => this.#update()));
      } else {
        if (last) await this.#handler.call("onPreOptimizerStep");
        result = await enqueue((inputs, shares) => this.#part(inputs, shares, last));
      }
      if (last) await this.#handler.call("onOptimizerStep");
      else await this.#handler.call("onSubstepEnd");
      if (!result.gradNorm) continue;
      this.gradNorm?.dispose();
      this.gradNorm = result.gradNorm;
    }
    if (observes) {
      this.#trainer.optimizer!.zeroGrad();
      this.#trainer.control.shouldObserveGradients = false;
    }
    this.#steps++;
    this.dispatches += device.snapshot().dispatches - before;
  }

  dispose(): void {
    this.lossSum.dispose();
    this.gradNorm?.dispose();
    this.#captured?.dispose();
  }

  /** The first step compiles most programs: all at once, in the background. */
  #enqueue<T>(body: () => T): T | Promise<T> {
    return this.#steps === 0 ? prepared(this.#trainer.device, this.#handler, body) : body();
  }

  #setRates(): void {
    const { args, state, optimizer } = this.#trainer;
    const rate = this.#scheduler.rate(state.globalStep);
    optimizer!.paramGroups.forEach((group, i) => {
      const initial = this.#initialRates[i];
      if (initial === null || initial === undefined) return;
      const isPlain = initial === args.learningRate || args.learningRate === 0;
      group.lr = isPlain ? rate : (initial * rate) / args.learningRate;
    });
  }

  #shares(items: number, total: number): Shares {
    const { device, needsNumItems } = this.#trainer;
    const scalar = (value: number) => Tensor.from(device, Float32Array.of(value), []);
    return {
      share: items === total ? null : scalar(items / total),
      items: needsNumItems ? scalar(total) : null,
    };
  }

  /**
   * What the GPU does for one part. It is recorded and replayed, so it depends on its arguments alone and on what lives as long as
   * the training: parameters, optimizer, and the sum of the losses.
   * @param last whether the update follows
   */
  #compute(inputs: ModelInputs, { share, items }: Shares, last: boolean): ReturnType<Part> {
    const trainer = this.#trainer;
    const { loss } = inPrecision(trainer.args, () => trainer.computeLoss(inputs, { numItemsInBatch: items }));
    const part = share && !trainer.lossIsScaledForGa ? loss.mul(share) : loss;
    (trainer.scaler?.scale(part) ?? part).backward();
    this.lossSum.copy_(this.lossSum.add(part.detach()));
    if (!last) return { gradNorm: null };
    const updated = this.#update();
    trainer.optimizer!.zeroGrad();
    return updated;
  }

  /** Clipping and the optimizer's step; the gradients stay as they are. */
  #update(): ReturnType<Part> {
    const { args, model, scaler } = this.#trainer;
    const optimizer = this.#trainer.optimizer!;
    const clips = args.maxGradNorm > 0 ? { maxNorm: args.maxGradNorm } : null;
    if (scaler) {
      const norm = scaler.step(optimizer, clips ?? {});
      scaler.update();
      return { gradNorm: norm };
    }
    const clip = clips && gradNorm(model.parameters(), clips);
    optimizer.step(clip ? { gradScale: clip.coefficient } : {});
    return { gradNorm: clip?.norm ?? null };
  }
}
