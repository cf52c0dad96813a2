import { defaultGenerator, Embedding, GradScaler, NonFiniteError } from "@wgrad/tensor";
import { BatchQueue, type QueuedBatch, type TrainerDataset } from "./batch-queue.js";
import type { CallbackHandler } from "./callback-handler.js";
import { loadCheckpoint, loadWeights, type RunState, saveCheckpoint } from "./checkpoint.js";
import {
  latestCheckpoint,
  listCheckpoints,
  recoverCheckpoints,
  removeCheckpoint,
  rotateCheckpoints,
} from "./checkpoint-folders.js";
import { type AnyDataCollator, type CollatedBatch, isTokenBatch } from "./data-collator.js";
import { TrainerError } from "./errors.js";
import { asScheduler, type LrScheduler } from "./schedule.js";
import { TrainStep } from "./train-step.js";
import type { Trainer, TrainOutput } from "./trainer.js";
import { newTrainerState } from "./trainer-state.js";

/** What a `TrainingLoop` is made of. */
export interface TrainingLoopOptions {
  trainer: Trainer;
  handler: CallbackHandler;
  dataset: TrainerDataset;
  collate: AnyDataCollator;
  /** Whether a stop was asked for. */
  isStopRequested: () => boolean;
}

/** One call of `Trainer.train`: epochs, steps, and when to log, evaluate and save. */
export class TrainingLoop {
  readonly #trainer: Trainer;
  readonly #handler: CallbackHandler;
  readonly #isStopRequested: () => boolean;
  readonly #queue: BatchQueue;
  /** Weights that are no embedding, for the estimate of operations. */
  readonly #denseParameters: number;
  readonly #scheduler: LrScheduler;
  readonly #step: TrainStep;
  /** Step of the last log. */
  #sinceLog = 0;
  /** Sum of the losses that were logged. */
  #totalLoss = 0;
  #began = 0;
  #tokensBefore = 0;

  constructor({ trainer, handler, dataset, collate, isStopRequested }: TrainingLoopOptions) {
    const { args, state, control } = trainer;
    this.#trainer = trainer;
    this.#handler = handler;
    this.#isStopRequested = isStopRequested;
    this.#queue = new BatchQueue(dataset, trainer.getTrainSampler(dataset), collate, {
      batchSize: args.perDeviceTrainBatchSize,
      dropLast: args.dataloaderDropLast,
      ahead: args.dataloaderNumWorkers * (args.dataloaderPrefetchFactor ?? 2),
      training: true,
    });
    Object.assign(state, newTrainerState());
    Object.assign(control, { shouldTrainingStop: false, shouldEpochStop: false, shouldSave: false });
    Object.assign(control, { shouldEvaluate: false, shouldLog: false, shouldObserveGradients: false });
    const stepsPerEpoch = Math.max(1, Math.ceil(this.#queue.length / args.gradientAccumulationSteps));
    state.maxSteps = args.maxSteps > 0 ? args.maxSteps : Math.ceil(args.numTrainEpochs * stepsPerEpoch);
    state.numTrainEpochs = Math.ceil(state.maxSteps / stepsPerEpoch);
    const interval = (steps: number) => (steps < 1 ? Math.ceil(steps * state.maxSteps) : steps);
    state.loggingSteps = interval(args.loggingSteps);
    state.evalSteps = interval(args.evalSteps ?? args.loggingSteps);
    state.saveSteps = interval(args.saveSteps);
    trainer.optimizer?.dispose();
    trainer.optimizer = trainer.createOptimizer();
    trainer.scaler?.dispose();
    trainer.scaler = args.fp16 ? new GradScaler(trainer.device) : null;
    this.#scheduler = asScheduler(trainer.createScheduler(state.maxSteps));
    this.#denseParameters = denseParameters(trainer);
    this.#step = new TrainStep(trainer, handler, this.#scheduler);
  }

  /** @param resume a checkpoint's folder, or true for the newest */
  async run(resume: string | boolean): Promise<TrainOutput> {
    try {
      return await this.#run(resume);
    } finally {
      this.#step.dispose();
    }
  }

  async #run(resume: string | boolean): Promise<TrainOutput> {
    const { args, state, control, device, model } = this.#trainer;
    await recoverCheckpoints(args.outputDir);
    if (resume) await this.#resume(resume === true ? await latestCheckpoint(args.outputDir) : resume);
    this.#began = performance.now();
    this.#tokensBefore = state.numInputTokensSeen;
    const firstStep = state.globalStep;
    model.train();
    await this.#handler.call("onTrainBegin");
    if (args.evalOnStart && !resume) await this.#trainer.evaluate();
    const queue = this.#queue;
    const startEpoch = queue.state.epoch;
    // A checkpoint of an epoch's last step: what comes at the end of the epoch is still to be done.
    let endIsOpen = queue.remaining === 0;
    let interrupted = false;
    for (
      let epoch = startEpoch;
      (state.globalStep < state.maxSteps || endIsOpen) && !control.shouldTrainingStop;
      epoch++
    ) {
      endIsOpen = false;
      queue.begin(epoch);
      control.shouldEpochStop = false;
      await this.#handler.call("onEpochBegin");
      interrupted = await this.#epoch(epoch);
      if (interrupted) break;
      if (queue.remaining === 0 || control.shouldEpochStop) queue.end();
      await this.#handler.call("onEpochEnd");
      await this.#logEvaluateSave();
      // Asked for during the evaluation: stop before the next epoch.
      interrupted = this.#isStopRequested() && state.globalStep < state.maxSteps;
      if (interrupted) break;
    }
    if (interrupted) await this.#save();
    else await this.#logLoss();
    await device.synchronize();
    const metrics = await this.#finalMetrics(state.globalStep - firstStep);
    if (!interrupted) await this.#finish(metrics);
    await this.#handler.call("onTrainEnd");
    return { globalStep: state.globalStep, trainingLoss: metrics.train_loss!, metrics, interrupted };
  }

  /** The rest of one pass over the data; true if a stop was asked for. */
  async #epoch(epoch: number): Promise<boolean> {
    const { args, state, control, device } = this.#trainer;
    const queue = this.#queue;
    while (queue.remaining > 0 && state.globalStep < state.maxSteps) {
      const parts: QueuedBatch[] = [];
      const count = Math.min(args.gradientAccumulationSteps, queue.remaining);
      while (parts.length < count) parts.push(await queue.next());
      await this.#handler.call("onStepBegin");
      await this.#step.run(parts);
      queue.fill();
      await device.pace();
      state.globalStep++;
      state.epoch = epoch + (queue.length - queue.remaining) / queue.length;
      for (const { batch } of parts) this.#count(batch);
      await this.#handler.call("onStepEnd");
      await this.#logEvaluateSave();
      if (this.#isStopRequested()) return state.globalStep < state.maxSteps;
      if (control.shouldTrainingStop || control.shouldEpochStop) return false;
    }
    return false;
  }

  #count(batch: CollatedBatch): void {
    const { args, state } = this.#trainer;
    const counted = batch.numTokens ?? 0;
    const withPadding = isTokenBatch(batch) ? batch.inputIds.length : counted;
    const tokens = args.includeNumInputTokensSeen === "all" ? withPadding : counted;
    state.numInputTokensSeen += tokens;
    state.totalFlos += 6 * withPadding * this.#denseParameters;
  }

  async #logEvaluateSave(): Promise<void> {
    const { args, control } = this.#trainer;
    if (control.shouldLog) {
      control.shouldLog = false;
      await this.#logLoss();
    }
    if (control.shouldEvaluate) {
      control.shouldEvaluate = false;
      const isBest = this.#rememberBest(await this.#trainer.evaluate());
      if (args.saveStrategy === "best") control.shouldSave = isBest;
    }
    if (control.shouldSave) {
      control.shouldSave = false;
      await this.#save();
    }
  }

  /** Reads the mean loss since the last log: one of the few places that wait for the GPU. */
  async #logLoss(): Promise<void> {
    const { args, state } = this.#trainer;
    const steps = state.globalStep - this.#sinceLog;
    if (steps === 0) return;
    const { sum, norm } = await this.#readLoss();
    this.#totalLoss += sum;
    this.#sinceLog = state.globalStep;
    this.#step.lossSum.zero_();
    const counted = args.includeNumInputTokensSeen;
    const seconds = (performance.now() - this.#began) / 1000;
    const tokens = state.numInputTokensSeen - this.#tokensBefore;
    await this.#trainer.log({
      loss: sum / steps,
      ...(norm === null || !Number.isFinite(norm) ? {} : { grad_norm: norm }),
      learning_rate: this.#scheduler.rate(state.globalStep - 1),
      ...(await this.#scalerMetrics()),
      ...(counted === false || counted === "no" ? {} : { train_tokens_per_second: tokens / seconds }),
    });
  }

  /** Sum of the losses since the last log, and the norm of the last step's gradients. @throws NonFiniteError */
  async #readLoss(): Promise<{ sum: number; norm: number | null }> {
    const { args, state, scaler } = this.#trainer;
    const { lossSum, gradNorm } = this.#step;
    const sum = await lossSum.item();
    const norm = gradNorm ? await gradNorm.item() : null;
    // Scaled gradients may overflow now and then: that step was skipped, and the scale is smaller since.
    const normIsFine = norm === null || Number.isFinite(norm) || scaler !== null;
    if (Number.isFinite(sum) && normIsFine) return { sum, norm };
    throw new NonFiniteError(
      `the loss is ${sum} and the norm of the gradients ${norm ?? "not known"} between steps ${this.#sinceLog} and ${state.globalStep}. ` +
        `Lower the learning rate, ${args.fp16 ? "train without fp16, " : ""}or look at the data of these steps. ` +
        "Checkpoints written before are intact.",
    );
  }

  /** Where the scale of the loss stands, with `args.fp16`. */
  async #scalerMetrics(): Promise<Record<string, number>> {
    const { scaler } = this.#trainer;
    if (!scaler) return {};
    const { scale, skipped_steps } = await scaler.stateDict();
    return { loss_scale: scale, skipped_steps };
  }

  /** Takes note of an evaluation; true if it is the best so far. */
  #rememberBest(metrics: Readonly<Record<string, number>>): boolean {
    const { args, state, greaterIsBetter } = this.#trainer;
    const value = this.#trainer.bestMetricOf(metrics);
    if (value === undefined) {
      if (!args.metricForBestModel) return false;
      throw new TrainerError(
        "E_ARG_VALUE",
        `metricForBestModel "${args.metricForBestModel}" is not among ${Object.keys(metrics).join(", ")}.`,
      );
    }
    this.#scheduler.onEvaluate?.(value);
    const best = state.bestMetric;
    const better = best === null || (greaterIsBetter ? value > best : value < best);
    if (!better) return false;
    state.bestMetric = value;
    state.bestGlobalStep = state.globalStep;
    return true;
  }

  async #resume(folder: string): Promise<void> {
    const { args, state, control } = this.#trainer;
    const run = await loadCheckpoint(this.#trainer, this.#handler, folder);
    this.#step.lossSum.copy_(Float32Array.of(run.lossSum));
    this.#sinceLog = run.lossSince;
    this.#totalLoss = run.totalLoss;
    if (run.scheduler) this.#scheduler.loadStateDict?.(run.scheduler);
    this.#queue.load(args.ignoreDataSkip ? { ...run.sampler, position: 0 } : run.sampler);
    control.shouldTrainingStop = run.stopped === true && state.globalStep < state.maxSteps;
  }

  async #save(): Promise<void> {
    const { args, state, control, device, scaler } = this.#trainer;
    // Weights that a NaN has got into are not to replace good ones.
    const { sum } = await this.#readLoss();
    const scheduler = this.#scheduler.stateDict?.();
    const run: RunState = {
      lossSum: sum,
      lossSince: this.#sinceLog,
      totalLoss: this.#totalLoss,
      sampler: this.#queue.state,
      generator: defaultGenerator(device).getState(),
      stopped: control.shouldTrainingStop && state.globalStep < state.maxSteps,
      ...(scaler ? { scaler: await scaler.stateDict() } : {}),
      ...(scheduler ? { scheduler } : {}),
    };
    const folder = await saveCheckpoint(this.#trainer, this.#handler, run);
    await rotateCheckpoints(args.outputDir, args.saveTotalLimit, state.bestModelCheckpoint);
    await this.#handler.call("onSave", { checkpoint: folder });
  }

  async #finalMetrics(steps: number): Promise<Record<string, number>> {
    const { args, state, device } = this.#trainer;
    const seconds = (performance.now() - this.#began) / 1000;
    const made = Math.max(1, steps);
    const unlogged = state.globalStep > this.#sinceLog ? await this.#step.lossSum.item() : 0;
    return {
      train_runtime: seconds,
      train_samples_per_second:
        (steps * args.perDeviceTrainBatchSize * args.gradientAccumulationSteps) / seconds,
      train_steps_per_second: steps / seconds,
      total_flos: state.totalFlos,
      train_loss: (this.#totalLoss + unlogged) / Math.max(1, state.globalStep),
      dispatches_per_step: this.#step.dispatches / made,
      peak_memory_bytes: device.memory().peakLiveBytes,
      ...(await this.#scalerMetrics()),
    };
  }

  /** What follows a run that was not interrupted: its figures in the log, and the best model. */
  async #finish(metrics: Readonly<Record<string, number>>): Promise<void> {
    const { args, state } = this.#trainer;
    const { train_runtime, train_samples_per_second, train_steps_per_second, total_flos, train_loss } =
      metrics as Record<string, number>;
    await this.#trainer.log({
      train_runtime: train_runtime!,
      train_samples_per_second: train_samples_per_second!,
      train_steps_per_second: train_steps_per_second!,
      total_flos: total_flos!,
      train_loss: train_loss!,
    });
    const best = state.bestModelCheckpoint;
    if (best === null) return;
    if (args.loadBestModelAtEnd) await loadWeights(this.#trainer, best);
    if (args.saveTotalLimit !== 1) return;
    // While training the newest was kept beside the best, to go on from.
    for (const folder of await listCheckpoints(args.outputDir))
      if (folder !== best) await removeCheckpoint(folder);
  }
}

/** Elements of the parameters of all modules but embeddings. */
function denseParameters({ model }: Trainer): number {
  const embeddings = new Set(
    [...model.namedModules()].flatMap(([, module]) =>
      module instanceof Embedding ? [...module.parameters()] : [],
    ),
  );
  let sum = 0;
  for (const parameter of model.parameters()) if (!embeddings.has(parameter)) sum += parameter.numel;
  return sum;
}
