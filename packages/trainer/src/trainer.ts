import { DataLoader, type Dataset, RandomSampler } from "@wgrad/datasets";
import type { HeadOutput, PreTrainedModel } from "@wgrad/models";
import {
  AdamW,
  autocast,
  capture,
  type Device,
  defaultGenerator,
  GradScaler,
  getScheduler,
  gradNorm,
  LayerNorm,
  manualSeed,
  NonFiniteError,
  noGrad,
  type Parameter,
  scope,
  Tensor,
} from "@wgrad/tensor";
import {
  type CallbackContext,
  type CallbackEvent,
  DefaultFlowCallback,
  type LogEntry,
  type TrainerCallback,
  type TrainerControl,
  type TrainerState,
} from "./callbacks.js";
import {
  latestCheckpoint,
  loadCheckpoint,
  pruneCheckpoints,
  saveCheckpoint,
  saveModel,
} from "./checkpoint.js";
import type { CollatedBatch, DataCollator, Example } from "./data-collator.js";
import { TrainerError } from "./errors.js";
import { getReportingCallbacks } from "./loggers/index.js";
import type { EvalPrediction } from "./metrics.js";
import { type TrainingArguments, trainingArguments } from "./training-arguments.js";

/** A model that the trainer can train: gives a loss where labels are given. A `PeftModel` of such a model is one too. */
export interface TrainableModel extends PreTrainedModel {
  forward(input: ModelInputs): HeadOutput;
}

/** A batch on the device, as a model's forward takes it: a `PaddedBatch` or a `FlattenedBatch` of the collator. */
export type ModelInputs = {
  /** [B, T] i32, or [T] with `cuSeqlens` */
  inputIds: Tensor;
  /** [B, T] i32, of a padded batch */
  attentionMask?: Tensor | null;
  /** [T] i32, of a flattened batch */
  positionIds?: Tensor | null;
  /** [B + 1] i32, of a flattened batch */
  cuSeqlens?: Tensor | null;
  /** [B] i32, or a label a token in the shape of `inputIds`; null where the data set has none */
  labels?: Tensor | null;
};

/** A tokenizer as the trainer uses it: saved beside the model. */
export interface ProcessingClass {
  savePretrained(folder: string): Promise<unknown>;
}

/** What a `Trainer` is made of. */
export interface TrainerOptions {
  model: TrainableModel;
  args?: Partial<TrainingArguments>;
  /** Tokenized examples: columns `inputIds`, `attentionMask` and `label`. */
  trainDataset?: Dataset<Example>;
  evalDataset?: Dataset<Example>;
  dataCollator: DataCollator;
  processingClass?: ProcessingClass;
  computeMetrics?: (prediction: EvalPrediction) => Record<string, number>;
  callbacks?: readonly TrainerCallback[];
}

/** Result of `train`. */
export interface TrainOutput {
  globalStep: number;
  /** Mean loss over all steps. */
  trainingLoss: number;
  metrics: Record<string, number>;
  /** True if a stop was asked for before the end; a checkpoint was written then. */
  interrupted: boolean;
}

/** Result of `predict`. */
export interface PredictionOutput {
  /** [numExamples, numLabels], in the order of the data set. */
  predictions: Float32Array;
  labelIds: Int32Array | null;
  numLabels: number;
  metrics: Record<string, number>;
}

/**
 * Trains and evaluates a model, as `transformers.Trainer`: AdamW without decay on biases and LayerNorm, a schedule with
 * warm-up, clipping, accumulation, callbacks, checkpoints. A step is recorded once for each shape of batch and replayed, one
 * submission to the GPU, and nothing is read back but what is logged.
 */
export class Trainer {
  readonly model: TrainableModel;
  readonly args: Readonly<TrainingArguments>;
  readonly state: TrainerState;
  readonly control: TrainerControl;
  /** Made by `createOptimizer` when training begins. */
  optimizer: AdamW | null = null;
  /** Scales the loss with `args.fp16`, from when training begins; else null. */
  scaler: GradScaler | null = null;
  readonly #options: TrainerOptions;
  readonly #callbacks: TrainerCallback[];
  #stopRequested = false;

  /** @throws TrainerError for arguments that are unknown or out of range */
  constructor(options: TrainerOptions) {
    this.#options = options;
    this.model = options.model;
    this.args = trainingArguments(options.args);
    this.state = {
      epoch: 0,
      globalStep: 0,
      maxSteps: 0,
      numTrainEpochs: 0,
      logHistory: [],
      bestMetric: null,
      bestGlobalStep: null,
      bestModelCheckpoint: null,
      numInputTokensSeen: 0,
    };
    this.control = {
      shouldTrainingStop: false,
      shouldEpochStop: false,
      shouldSave: false,
      shouldEvaluate: false,
      shouldLog: false,
      shouldObserveGradients: false,
    };
    this.#callbacks = [
      new DefaultFlowCallback(),
      ...getReportingCallbacks(this.args.reportTo, this.args),
      ...(options.callbacks ?? []),
    ];
    if (this.args.fp16 && !this.device.features.has("shader-f16")) {
      throw new TrainerError(
        "E_ARG_VALUE",
        `fp16 needs the feature shader-f16, which this adapter does not have: ${this.device.description}. Train without it.`,
      );
    }
    if (this.args.gradientCheckpointing) this.model.gradientCheckpointingEnable();
    manualSeed(this.device, this.args.seed);
  }

  get device(): Device {
    return this.model.device;
  }

  /** Whether a larger value of the metric for the best model is better. */
  get greaterIsBetter(): boolean {
    return this.args.greaterIsBetter ?? !(this.args.metricForBestModel ?? "loss").endsWith("loss");
  }

  /** The metric for the best model among an evaluation's; undefined if it is not there. */
  bestMetricOf(metrics: Readonly<Record<string, number>>): number | undefined {
    const name = this.args.metricForBestModel ?? "loss";
    return metrics[name.startsWith("eval_") ? name : `eval_${name}`];
  }

  /** Adds a callback after those there are. */
  addCallback(callback: TrainerCallback): void {
    this.#callbacks.push(callback);
  }

  /** Lets the step in hand finish, writes a checkpoint and ends `train`. Safe to call from a signal handler. */
  requestStop(): void {
    this.#stopRequested = true;
  }

  /** Names of the parameters that weight decay acts on: all but biases and LayerNorm's, as Hugging Face's Trainer. */
  getDecayParameterNames(): string[] {
    const exempt = new Set<Parameter>();
    for (const [, module] of this.model.namedModules()) {
      if (module instanceof LayerNorm) for (const p of module.parameters()) exempt.add(p);
    }
    return [...this.model.namedParameters()]
      .filter(([name, p]) => !exempt.has(p) && !/(^|\.)bias$/.test(name))
      .map(([name]) => name);
  }

  /** AdamW over the trained parameters in two groups, with and without decay. Override it for another optimizer. */
  createOptimizer(): AdamW {
    const decayed = new Set(this.getDecayParameterNames());
    const trained = [...this.model.namedParameters()].filter(([, p]) => p.requiresGrad);
    if (trained.length === 0)
      throw new TrainerError(
        "E_ARG_VALUE",
        "every parameter of the model is frozen: there is nothing to train.",
      );
    const group = (inGroup: boolean, weightDecay: number) => ({
      params: trained.filter(([name]) => decayed.has(name) === inGroup).map(([, p]) => p),
      weightDecay,
    });
    return new AdamW(
      [group(true, this.args.weightDecay), group(false, 0)].filter((g) => g.params.length > 0),
      {
        lr: this.args.learningRate,
        betas: [this.args.adamBeta1, this.args.adamBeta2],
        eps: this.args.adamEpsilon,
      },
    );
  }

  /** Learning rate of each step. Override it for another schedule. */
  createScheduler(totalSteps: number): (step: number) => number {
    const { args } = this;
    const warmup = args.warmupSteps || args.warmupRatio;
    const kwargs = args.lrSchedulerKwargs;
    return getScheduler(args.lrSchedulerType, {
      lr: args.learningRate,
      numTrainingSteps: totalSteps,
      numWarmupSteps: warmup < 1 ? Math.ceil(warmup * totalSteps) : warmup,
      ...(kwargs.num_cycles === undefined ? {} : { numCycles: kwargs.num_cycles }),
      ...(kwargs.power === undefined ? {} : { power: kwargs.power }),
      ...(kwargs.lr_end === undefined ? {} : { lrEnd: kwargs.lr_end }),
      ...(kwargs.timescale === undefined ? {} : { timescale: kwargs.timescale }),
    });
  }

  /**
   * Loss and logits of a batch. Override it for another loss. Runs inside the step's scope, and with `args.capture` only when a
   * step is recorded: what changes from step to step must come from the batch.
   */
  computeLoss(batch: ModelInputs): { loss: Tensor; logits: Tensor } {
    const output = this.model.forward(batch);
    if (!output.loss)
      throw new TrainerError(
        "E_DATA",
        "the model gave no loss: the data set has no column label. Rename the column that holds the classes to label.",
      );
    return { loss: output.loss, logits: output.logits };
  }

  /**
   * Trains.
   * @param options.resumeFromCheckpoint a checkpoint's folder, or true for the newest in the output folder
   * @throws NonFiniteError when a logged loss is NaN or infinite; the checkpoints written before stay
   */
  async train(options: { resumeFromCheckpoint?: string | boolean } = {}): Promise<TrainOutput> {
    const { args, state, control, device } = this;
    const dataset = this.#options.trainDataset;
    if (!dataset) throw new TrainerError("E_DATA", "train needs a trainDataset.");
    const loader = new DataLoader<Example, CollatedBatch>(dataset, {
      batchSize: args.perDeviceTrainBatchSize,
      sampler: new RandomSampler(dataset.numRows, args.dataSeed ?? args.seed),
      dropLast: args.dataloaderDropLast,
      collateFn: (rows) => this.#options.dataCollator(rows),
    });
    const stepsPerEpoch = Math.max(1, Math.ceil(loader.length / args.gradientAccumulationSteps));
    state.maxSteps = args.maxSteps > 0 ? args.maxSteps : Math.ceil(args.numTrainEpochs * stepsPerEpoch);
    state.numTrainEpochs = Math.ceil(state.maxSteps / stepsPerEpoch);
    this.optimizer = this.createOptimizer();
    this.scaler = args.fp16 ? new GradScaler(device) : null;
    const rate = this.createScheduler(state.maxSteps);
    const lossSum = Tensor.zeros(device, []);
    const tally: Run["tally"] = {
      lossSum,
      sinceLog: 0,
      totalLoss: 0,
      gradNorm: null,
      steps: 0,
      dispatches: 0,
    };
    const part = (batch: ModelInputs, share: number, last: boolean) =>
      this.#trainOnPart(batch, share, last, lossSum);
    const captured = args.capture ? capture(part) : null;
    let startEpoch = 0;
    if (options.resumeFromCheckpoint) {
      const folder =
        typeof options.resumeFromCheckpoint === "string"
          ? options.resumeFromCheckpoint
          : await latestCheckpoint(args.outputDir);
      const resumed = await loadCheckpoint(this, folder);
      lossSum.copy_(Float32Array.of(resumed.lossSum));
      tally.sinceLog = resumed.lossSince;
      tally.totalLoss = resumed.totalLoss;
      loader.loadState(resumed.sampler);
      startEpoch = resumed.sampler.epoch;
    }
    const began = performance.now();
    const firstStep = state.globalStep;
    let interrupted = false;
    this.model.train();
    await this.#call("onTrainBegin");
    const context: Run = {
      rate,
      loader,
      tally,
      part: captured ?? ((...given) => scope(() => part(...given))),
    };
    for (let epoch = startEpoch; state.globalStep < state.maxSteps && !control.shouldTrainingStop; epoch++) {
      loader.setEpoch(epoch);
      control.shouldEpochStop = false;
      await this.#call("onEpochBegin");
      interrupted = await this.#trainEpoch(epoch, stepsPerEpoch, context);
      if (interrupted) break;
      await this.#call("onEpochEnd");
      await this.#logEvaluateSave(context);
      // Asked for during the evaluation: stop before the next epoch.
      interrupted = this.#stopRequested && state.globalStep < state.maxSteps;
      if (interrupted) break;
    }
    if (state.globalStep > tally.sinceLog) await this.#logLoss(context);
    if (interrupted) await this.#save(context);
    await device.synchronize();
    const seconds = (performance.now() - began) / 1000;
    const made = Math.max(1, state.globalStep - firstStep);
    const metrics = {
      train_runtime: seconds,
      train_samples_per_second:
        (made * args.perDeviceTrainBatchSize * args.gradientAccumulationSteps) / seconds,
      train_steps_per_second: made / seconds,
      train_loss: tally.totalLoss / Math.max(1, state.globalStep),
      dispatches_per_step: tally.dispatches / made,
      peak_memory_bytes: device.memory().peakLiveBytes,
      ...(await this.#scalerMetrics()),
    };
    if (!interrupted && args.loadBestModelAtEnd && state.bestModelCheckpoint) {
      await loadCheckpoint(this, state.bestModelCheckpoint, { weightsOnly: true });
    }
    lossSum.dispose();
    tally.gradNorm?.dispose();
    captured?.dispose();
    await this.#call("onTrainEnd");
    return { globalStep: state.globalStep, trainingLoss: metrics.train_loss, metrics, interrupted };
  }

  /** Loss and metrics on a data set, their names with `eval_` before them; logged. */
  async evaluate(
    dataset = this.#options.evalDataset,
    metricKeyPrefix = "eval",
  ): Promise<Record<string, number>> {
    if (!dataset) throw new TrainerError("E_DATA", "evaluate needs an evalDataset.");
    const { metrics } = await this.predict(dataset, metricKeyPrefix);
    await this.#log(metrics);
    await this.#call("onEvaluate", { metrics });
    return metrics;
  }

  /** Logits of all examples of a data set, and metrics where it has labels. */
  async predict(dataset: Dataset<Example>, metricKeyPrefix = "test"): Promise<PredictionOutput> {
    const { args, device, model } = this;
    const wasTraining = model.training;
    model.eval();
    const began = performance.now();
    // Batches of similar lengths waste little on padding; the order of the results is that of the data set.
    const lengths = Array.from({ length: dataset.numRows }, (_, i) => dataset.at(i).inputIds.length);
    const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
    const batches = Math.ceil(order.length / args.perDeviceEvalBatchSize);
    let predictions: Float32Array | null = null;
    const labelIds = new Int32Array(dataset.numRows);
    let numLabels = 0;
    let labelled = false;
    let lossSum = 0;
    for (let b = 0; b < batches; b++) {
      const indices = order.slice(b * args.perDeviceEvalBatchSize, (b + 1) * args.perDeviceEvalBatchSize);
      const batch = this.#options.dataCollator(dataset.rows(indices));
      const compute = () =>
        noGrad(() =>
          scope(() => {
            const onDevice = this.#upload(batch);
            if (onDevice.labels) return this.#computeLoss(onDevice);
            return { loss: null, logits: this.#inPrecision(() => model.forward(onDevice).logits) };
          }),
        );
      const { loss, logits } = b === 0 ? await this.#prepare(compute) : compute();
      numLabels = logits.size(-1);
      predictions ??= new Float32Array(dataset.numRows * numLabels);
      const values = await logits.toArray();
      indices.forEach((row, i) => {
        predictions!.set(
          (values as Float32Array).subarray(i * numLabels, (i + 1) * numLabels),
          row * numLabels,
        );
        if (batch.labels) labelIds[row] = batch.labels[i]!;
      });
      if (loss) {
        labelled = true;
        lossSum += (await loss.item()) * indices.length;
        loss.dispose();
      }
      logits.dispose();
      await this.#call("onPredictionStep", { batch: b + 1, batches });
    }
    model.train(wasTraining);
    const seconds = (performance.now() - began) / 1000;
    const own: Record<string, number> = {};
    if (labelled) {
      own.loss = lossSum / dataset.numRows;
      Object.assign(own, this.#options.computeMetrics?.({ predictions: predictions!, labelIds, numLabels }));
    }
    own.runtime = seconds;
    own.samples_per_second = dataset.numRows / seconds;
    device.check();
    return {
      predictions: predictions ?? new Float32Array(0),
      labelIds: labelled ? labelIds : null,
      numLabels,
      metrics: Object.fromEntries(
        Object.entries(own).map(([key, value]) => [`${metricKeyPrefix}_${key}`, value]),
      ),
    };
  }

  /** Writes the model, the tokenizer and the arguments to a folder. */
  async saveModel(folder = this.args.outputDir): Promise<void> {
    await saveModel(this, folder);
  }

  /** The tokenizer, where one was given. */
  get processingClass(): ProcessingClass | undefined {
    return this.#options.processingClass;
  }

  #upload(batch: CollatedBatch): ModelInputs {
    const integers = (data: Int32Array, shape: readonly number[]) => Tensor.from(this.device, data, shape);
    const { batchSize, length, labels } = batch;
    const shape = "cuSeqlens" in batch ? [length] : [batchSize, length];
    const perToken = labels && labels.length === batch.inputIds.length && labels.length !== batchSize;
    return {
      inputIds: integers(batch.inputIds, shape),
      ...("cuSeqlens" in batch
        ? {
            positionIds: integers(batch.positionIds, shape),
            cuSeqlens: integers(batch.cuSeqlens, [batchSize + 1]),
          }
        : { attentionMask: integers(batch.attentionMask, shape) }),
      labels: labels ? integers(labels, perToken ? shape : [batchSize]) : null,
    };
  }

  /** One pass over the data; true if a stop was asked for. */
  async #trainEpoch(epoch: number, stepsPerEpoch: number, run: Run): Promise<boolean> {
    const { args, state, control } = this;
    let parts: CollatedBatch[] = [];
    let stepInEpoch = Math.round((state.epoch - epoch) * stepsPerEpoch);
    stepInEpoch = Math.max(0, stepInEpoch);
    const iterator = run.loader[Symbol.iterator]();
    for (let next = iterator.next(); !next.done; ) {
      parts.push(next.value);
      const upcoming = parts.length < args.gradientAccumulationSteps ? iterator.next() : null;
      if (upcoming && !upcoming.done) {
        next = upcoming;
        continue;
      }
      await this.#call("onStepBegin");
      const dispatches = this.device.snapshot().dispatches;
      await this.#step(parts, run);
      run.tally.steps++;
      run.tally.dispatches += this.device.snapshot().dispatches - dispatches;
      await this.device.pace();
      state.globalStep++;
      stepInEpoch++;
      state.epoch = epoch + stepInEpoch / stepsPerEpoch;
      for (const part of parts) state.numInputTokensSeen += part.numTokens;
      parts = [];
      await this.#call("onStepEnd");
      await this.#logEvaluateSave(run);
      if (this.#stopRequested) return true;
      if (control.shouldTrainingStop || control.shouldEpochStop) return false;
      if (upcoming?.done) return false;
      next = iterator.next();
    }
    return false;
  }

  /** Enqueues work that is not done yet while its programs are compiled in parallel, and tells how far that is. */
  async #prepare<T>(body: () => T): Promise<T> {
    const told: Promise<void>[] = [];
    const result = await this.device.prepare(body, ({ done, total }) => {
      told.push(this.#call("onCompile", { done, total }));
    });
    await Promise.all(told);
    return result;
  }

  /** Forward, backward and update of one optimizer step: enqueues everything, waits for nothing once it is warm. */
  async #step(parts: readonly CollatedBatch[], run: Run): Promise<void> {
    const { state, control } = this;
    const { tally } = run;
    const items = parts.reduce((sum, part) => sum + part.batchSize, 0);
    for (const group of this.optimizer!.paramGroups) group.lr = run.rate(state.globalStep);
    // The first step compiles most programs: all at once, in the background.
    const enqueue = <T>(body: () => T) => (tally.steps === 0 ? this.#prepare(body) : body());
    const observes = control.shouldObserveGradients;
    for (const [i, part] of parts.entries()) {
      const last = i === parts.length - 1;
      const share = part.batchSize / items;
      let result: { gradNorm: Tensor | null };
      if (observes) {
        await enqueue(() => scope(() => this.#trainOnPart(this.#upload(part), share, false, tally.lossSum)));
        if (last) await this.#call("onPreOptimizerStep");
        result = last ? await enqueue(() => scope(() => this.#update())) : { gradNorm: null };
      } else {
        if (last) await this.#call("onPreOptimizerStep");
        result = await enqueue(() => scope(() => run.part(this.#upload(part), share, last)));
      }
      if (!last) {
        await this.#call("onSubstepEnd");
        continue;
      }
      await this.#call("onOptimizerStep");
      if (observes) {
        this.optimizer!.zeroGrad();
        control.shouldObserveGradients = false;
      }
      if (!result.gradNorm) continue;
      tally.gradNorm?.dispose();
      tally.gradNorm = result.gradNorm;
    }
  }

  /**
   * What the GPU does for one part of an optimizer step. It is recorded and replayed, so it depends on its arguments alone and
   * on what lives as long as the training: parameters, optimizer, and the sum of the losses.
   * @param share of the step's examples that are in this part
   * @param last whether the update follows
   */
  #trainOnPart(
    batch: ModelInputs,
    share: number,
    last: boolean,
    lossSum: Tensor,
  ): { gradNorm: Tensor | null } {
    const { scaler } = this;
    const { loss } = this.#computeLoss(batch);
    const part = share === 1 ? loss : loss.mul(share);
    (scaler?.scale(part) ?? part).backward();
    lossSum.copy_(lossSum.add(part.detach()));
    if (!last) return { gradNorm: null };
    const updated = this.#update();
    this.optimizer!.zeroGrad();
    return updated;
  }

  /** Clipping and the optimizer's step; the gradients stay as they are. */
  #update(): { gradNorm: Tensor | null } {
    const { args, model, scaler } = this;
    const optimizer = this.optimizer!;
    const clips = args.maxGradNorm > 0 ? { maxNorm: args.maxGradNorm } : null;
    let norm: Tensor | null = null;
    if (scaler) {
      norm = scaler.step(optimizer, clips ?? {});
      scaler.update();
    } else {
      const clip = clips && gradNorm(model.parameters(), clips);
      norm = clip?.norm ?? null;
      optimizer.step(clip ? { gradScale: clip.coefficient } : {});
    }
    return { gradNorm: norm };
  }

  /** `computeLoss` in the precision that the arguments ask for. */
  #computeLoss(batch: ModelInputs): { loss: Tensor; logits: Tensor } {
    return this.#inPrecision(() => this.computeLoss(batch));
  }

  #inPrecision<T>(body: () => T): T {
    return this.args.fp16 ? autocast("f16", body) : body();
  }

  async #logEvaluateSave(run: Run): Promise<void> {
    const { control } = this;
    if (control.shouldLog) {
      control.shouldLog = false;
      await this.#logLoss(run);
    }
    if (control.shouldEvaluate) {
      control.shouldEvaluate = false;
      await this.#rememberBest(await this.evaluate());
    }
    if (control.shouldSave) {
      control.shouldSave = false;
      await this.#save(run);
    }
  }

  /** Reads the mean loss since the last log: one of the few places that wait for the GPU. */
  async #logLoss({ rate, tally }: Run): Promise<void> {
    const { state } = this;
    const steps = state.globalStep - tally.sinceLog;
    if (steps === 0) return;
    const sum = await tally.lossSum.item();
    const norm = tally.gradNorm ? await tally.gradNorm.item() : null;
    // Scaled gradients may overflow now and then: that step was skipped, and the scale is smaller since.
    const normIsFine = norm === null || Number.isFinite(norm) || this.scaler !== null;
    if (!Number.isFinite(sum) || !normIsFine) {
      throw new NonFiniteError(
        `the loss is ${sum} and the norm of the gradients ${norm ?? "not known"} between steps ${tally.sinceLog} and ${state.globalStep}. ` +
          `Lower the learning rate, ${this.args.fp16 ? "train without fp16, " : ""}or look at the data of these steps. ` +
          "Checkpoints written before are intact.",
      );
    }
    tally.totalLoss += sum;
    tally.sinceLog = state.globalStep;
    tally.lossSum.zero_();
    await this.#log({
      loss: sum / steps,
      ...(norm === null || !Number.isFinite(norm) ? {} : { grad_norm: norm }),
      learning_rate: rate(state.globalStep - 1),
      ...(await this.#scalerMetrics()),
    });
  }

  /** Where the scale of the loss stands, with `args.fp16`. */
  async #scalerMetrics(): Promise<Record<string, number>> {
    if (!this.scaler) return {};
    const { scale, skipped_steps } = await this.scaler.stateDict();
    return { loss_scale: scale, skipped_steps };
  }

  async #log(values: Record<string, number>): Promise<void> {
    const { state } = this;
    const logs: LogEntry = { ...values, epoch: state.epoch, step: state.globalStep };
    state.logHistory.push(logs);
    await this.#call("onLog", { logs });
  }

  async #rememberBest(metrics: Record<string, number>): Promise<void> {
    const { state } = this;
    const value = this.bestMetricOf(metrics);
    if (value === undefined) {
      if (this.args.metricForBestModel) {
        throw new TrainerError(
          "E_ARG_VALUE",
          `metricForBestModel "${this.args.metricForBestModel}" is not among ${Object.keys(metrics).join(", ")}.`,
        );
      }
      return;
    }
    const better =
      state.bestMetric === null ||
      (this.greaterIsBetter ? value > state.bestMetric : value < state.bestMetric);
    if (!better) return;
    state.bestMetric = value;
    state.bestGlobalStep = state.globalStep;
  }

  async #save({ loader, tally }: Run): Promise<void> {
    const { args, state } = this;
    const folder = await saveCheckpoint(this, {
      lossSum: await tally.lossSum.item(),
      lossSince: tally.sinceLog,
      totalLoss: tally.totalLoss,
      sampler: loader.state(),
      generator: defaultGenerator(this.device).getState(),
      ...(this.scaler ? { scaler: await this.scaler.stateDict() } : {}),
    });
    await pruneCheckpoints(args.outputDir, args.saveTotalLimit, state.bestModelCheckpoint);
    await this.#call("onSave", { checkpoint: folder });
  }

  async #call(event: CallbackEvent, extra: Record<string, unknown> = {}): Promise<void> {
    const context: CallbackContext = {
      args: this.args,
      state: this.state,
      control: this.control,
      trainer: this,
    };
    for (const callback of this.#callbacks) {
      const listener = callback[event] as ((context: CallbackContext) => void | Promise<void>) | undefined;
      await listener?.call(callback, { ...context, ...extra });
    }
  }
}

/** What a training run carries from step to step. */
interface Run {
  rate: (step: number) => number;
  /** Forward and backward of a part of a step, and the update after the last one; captured or eager. */
  part: (batch: ModelInputs, share: number, last: boolean) => { gradNorm: Tensor | null };
  loader: DataLoader<Example, CollatedBatch>;
  tally: {
    /** 0-d: losses since the last log, added up on the device. */
    lossSum: Tensor;
    /** Step of the last log. */
    sinceLog: number;
    /** Sum of the losses that were logged. */
    totalLoss: number;
    gradNorm: Tensor | null;
    /** Steps begun in this run. */
    steps: number;
    /** Dispatches of all steps, evaluation not counted. */
    dispatches: number;
  };
}
