import { RandomSampler, type Sampler, SequentialSampler } from "@wgrad/datasets";
import { crossEntropy, type Device, type GradScaler, manualSeed, type Tensor } from "@wgrad/tensor";
import { exampleLengths, hasTokens, type TrainerDataset } from "./batch-queue.js";
import { CallbackHandler } from "./callback-handler.js";
import type { LogEntry, TrainerCallback, TrainerControl, TrainerState } from "./callbacks.js";
import { trainingArguments } from "./check-arguments.js";
import { saveModel } from "./checkpoint.js";
import type { AnyDataCollator, CollatedBatch } from "./data-collator.js";
import { DefaultFlowCallback } from "./default-flow.js";
import { TrainerError } from "./errors.js";
import { getReportingCallbacks } from "./loggers/index.js";
import {
  type AnyModel,
  type ModelInputs,
  type ModelOutputs,
  type TrainableModel,
  uploadBatch,
} from "./model-inputs.js";
import { decayParameterNames, makeOptimizer, type TrainerOptimizer } from "./optimizers.js";
import { type PredictionOptions, type PredictionOutput, predictionLoop } from "./prediction-loop.js";
import { LengthGroupedSampler, LengthSortedSampler } from "./samplers.js";
import { makeSchedule, type Schedule } from "./schedule.js";
import { newTrainerState } from "./trainer-state.js";
import type { TrainingArguments } from "./training-arguments.js";
import { TrainingLoop } from "./training-loop.js";

/** A tokenizer as the trainer uses it: saved beside the model. */
export interface ProcessingClass {
  savePretrained(folder: string): Promise<unknown>;
}

/** What a loss may ask for beside the batch. */
export interface LossOptions {
  /**
   * 0-d f32: items of the whole optimizer step, over all parts of gradient accumulation: labels that are not -100 (else examples). For a
   * loss that divides its sum by it; set `lossIsScaledForGa` then. Null in evaluation.
   */
  numItemsInBatch: Tensor | null;
}

/** What a `Trainer` is made of. */
export interface TrainerOptions extends PredictionOptions {
  model: TrainableModel | AnyModel;
  args?: Partial<TrainingArguments>;
  /** Examples as the collator takes them; for `dataCollatorWithPadding`: `inputIds`, `attentionMask` and `label`. */
  trainDataset?: TrainerDataset;
  /** To evaluate on; several by name give metrics such as `eval_<name>_loss`. */
  evalDataset?: TrainerDataset | Readonly<Record<string, TrainerDataset>>;
  /** Examples → batch; an async one is awaited. */
  dataCollator: AnyDataCollator;
  processingClass?: ProcessingClass;
  /** The loss from outputs and labels, in place of the model's own: its sum divided by `numItemsInBatch` (null in evaluation: its mean). */
  computeLossFunc?: (outputs: ModelOutputs, labels: Tensor, options: LossOptions) => Tensor;
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

/**
 * Trains and evaluates a model, as `transformers.Trainer`: AdamW without decay on biases and LayerNorm, a schedule with
 * warm-up, clipping, accumulation, callbacks, checkpoints. A step is recorded once for each shape of batch and replayed, one
 * submission to the GPU, and nothing is read back but what is logged.
 *
 * Subclass it to change `computeLoss`, `prepareInputs`, `createOptimizer`, `createScheduler`, `getTrainSampler`, `getEvalSampler` or `log`.
 */
export class Trainer {
  /** Typed as a model with a head; one without is used by the `computeLoss` of a subclass alone. */
  readonly model: TrainableModel;
  readonly args: Readonly<TrainingArguments>;
  readonly state: TrainerState;
  readonly control: TrainerControl;
  /** Made by `createOptimizer` when training begins. */
  optimizer: TrainerOptimizer | null = null;
  /** Scales the loss with `args.fp16`, from when training begins; else null. */
  scaler: GradScaler | null = null;
  /**
   * Whether `computeLoss` divides by `numItemsInBatch` itself. Else it gives the mean over its part of a step, and the trainer weights
   * that by the part's share of the items, which comes to the same. As `loss_is_scaled_for_ga` of transformers.
   */
  lossIsScaledForGa: boolean;
  readonly #options: TrainerOptions;
  readonly #handler: CallbackHandler;
  /** `onInitEnd` of all callbacks. */
  readonly #initialized: Promise<void>;
  #stopRequested = false;

  /** @throws TrainerError for arguments that are unknown or out of range */
  constructor(options: TrainerOptions) {
    this.#options = options;
    this.model = options.model as TrainableModel;
    this.args = trainingArguments(options.args);
    this.state = newTrainerState();
    this.control = {
      shouldTrainingStop: false,
      shouldEpochStop: false,
      shouldSave: false,
      shouldEvaluate: false,
      shouldLog: false,
      shouldObserveGradients: false,
    };
    this.lossIsScaledForGa = options.computeLossFunc !== undefined;
    if (this.args.fp16 && !this.device.features.has("shader-f16")) {
      throw new TrainerError(
        "E_ARG_VALUE",
        `fp16 needs the feature shader-f16, which this adapter does not have: ${this.device.description}. Train without it.`,
      );
    }
    const callbacks = [
      new DefaultFlowCallback(),
      ...getReportingCallbacks(this.args.reportTo, options.callbacks),
      ...(options.callbacks ?? []),
    ];
    const { args, state, control } = this;
    this.#handler = new CallbackHandler(callbacks, { args, state, control, trainer: this });
    if (this.args.gradientCheckpointing) this.model.gradientCheckpointingEnable();
    manualSeed(this.device, this.args.seed);
    this.#initialized = this.#handler.call("onInitEnd");
    // Reported when training or evaluating begins.
    this.#initialized.catch(() => {});
  }

  get device(): Device {
    return this.model.device;
  }

  /** The tokenizer, where one was given. */
  get processingClass(): ProcessingClass | undefined {
    return this.#options.processingClass;
  }

  /** Whether a larger value of the metric for the best model is better. */
  get greaterIsBetter(): boolean {
    return this.args.greaterIsBetter ?? !(this.args.metricForBestModel ?? "loss").endsWith("loss");
  }

  /** Whether the loss may ask for `numItemsInBatch`; the model's own does not. */
  get needsNumItems(): boolean {
    return (
      this.lossIsScaledForGa || Object.getPrototypeOf(this).computeLoss !== Trainer.prototype.computeLoss
    );
  }

  /** The metric for the best model among an evaluation's; undefined if it is not there. */
  bestMetricOf(metrics: Readonly<Record<string, number>>): number | undefined {
    const name = this.args.metricForBestModel ?? "loss";
    return metrics[name.startsWith("eval_") ? name : `eval_${name}`];
  }

  /** Adds a callback after those there are. */
  addCallback(callback: TrainerCallback): void {
    this.#handler.add(callback);
  }

  /** Removes a callback, or the first of a class, such as `DefaultFlowCallback`; returns it, or null. */
  removeCallback(
    callback: TrainerCallback | (abstract new (...args: never[]) => TrainerCallback),
  ): TrainerCallback | null {
    return this.#handler.remove(callback);
  }

  /** Lets the step in hand finish, writes a checkpoint and ends `train`. Safe to call from a signal handler. */
  requestStop(): void {
    this.#stopRequested = true;
  }

  /** Names of the parameters that weight decay acts on: all but biases and LayerNorm's, as Hugging Face's Trainer. */
  getDecayParameterNames(): string[] {
    return decayParameterNames(this.model);
  }

  /** The optimizer that `args.optim` names, over the trained parameters in two groups, with and without decay. Override it for another. */
  createOptimizer(): TrainerOptimizer {
    return makeOptimizer(this.model, this.args, new Set(this.getDecayParameterNames()));
  }

  /** Learning rate of each step. Override it for another schedule. */
  createScheduler(totalSteps: number): Schedule {
    return makeSchedule(this.args, totalSteps, this.greaterIsBetter);
  }

  /** The order of the training data: `args.trainSamplingStrategy`. It must depend on seed and epoch alone, for a resume to be exact. */
  getTrainSampler(dataset: TrainerDataset): Sampler {
    const { args } = this;
    const seed = args.dataSeed ?? args.seed;
    if (args.trainSamplingStrategy === "sequential") return new SequentialSampler(dataset.numRows);
    if (args.trainSamplingStrategy === "random") return new RandomSampler(dataset.numRows, seed);
    const lengths = exampleLengths(dataset, args.lengthColumnName);
    return new LengthGroupedSampler(
      lengths,
      args.perDeviceTrainBatchSize * args.gradientAccumulationSteps,
      seed,
    );
  }

  /** The order of an evaluation: the longest texts first, so that little is padded. Results come in the order of the data set all the same. */
  getEvalSampler(dataset: TrainerDataset): Sampler {
    if (!hasTokens(dataset)) return new SequentialSampler(dataset.numRows);
    return new LengthSortedSampler(exampleLengths(dataset));
  }

  /** Puts a batch on the device as the model takes it. Override it for collators with other fields. */
  prepareInputs(batch: CollatedBatch): ModelInputs {
    return uploadBatch(this.device, batch);
  }

  /**
   * Loss and logits of a batch: the mean over its labels, unless `lossIsScaledForGa`. Override it for another loss. Runs inside the
   * step's scope, and with `args.capture` only when a step is recorded: what changes from step to step must come from the batch.
   */
  computeLoss(inputs: ModelInputs, options: LossOptions): { loss: Tensor; logits: Tensor | null } {
    const { labels } = inputs;
    const func = this.#options.computeLossFunc;
    const smoothing = this.args.labelSmoothingFactor;
    if (labels && (func || smoothing > 0)) {
      const outputs = this.model.forward({ ...inputs, labels: null });
      const { logits } = outputs as Partial<ModelOutputs>;
      if (func) return { loss: func(outputs, labels, options), logits: logits ?? null };
      if (!logits)
        throw new TrainerError(
          "E_DATA",
          `labelSmoothingFactor needs a model with logits, and ${this.model.constructor.name} gives none. Leave it out.`,
        );
      const rows = logits.reshape([-1, logits.size(-1)]);
      return { loss: crossEntropy(rows, labels.reshape([-1]), { labelSmoothing: smoothing }), logits };
    }
    const output = this.model.forward(inputs);
    if (!output.loss)
      throw new TrainerError(
        "E_DATA",
        "the model gave no loss: the data set has no column label. Rename the column that holds the classes to label.",
      );
    return { loss: output.loss, logits: (output as Partial<ModelOutputs>).logits ?? null };
  }

  /**
   * Trains.
   * @param options.resumeFromCheckpoint a checkpoint's folder, or true for the newest in the output folder; default
   *   `args.resumeFromCheckpoint`
   * @throws NonFiniteError when a loss is NaN or infinite; the checkpoints written before stay
   */
  async train(options: { resumeFromCheckpoint?: string | boolean } = {}): Promise<TrainOutput> {
    await this.#initialized;
    const dataset = this.#options.trainDataset;
    if (!dataset) throw new TrainerError("E_DATA", "train needs a trainDataset.");
    this.#stopRequested = false;
    const loop = new TrainingLoop({
      trainer: this,
      handler: this.#handler,
      dataset,
      collate: this.#options.dataCollator,
      isStopRequested: () => this.#stopRequested,
    });
    return loop.run(options.resumeFromCheckpoint ?? this.args.resumeFromCheckpoint ?? false);
  }

  /** Loss and metrics on a data set (or several), their names with `eval_` before them; logged. */
  async evaluate(
    dataset: TrainerDataset | Readonly<Record<string, TrainerDataset>> | undefined = this.#options
      .evalDataset,
    metricKeyPrefix = "eval",
  ): Promise<Record<string, number>> {
    await this.#initialized;
    if (!dataset) throw new TrainerError("E_DATA", "evaluate needs an evalDataset.");
    if (!isOneDataset(dataset)) {
      const all: Record<string, number> = {};
      for (const [name, part] of Object.entries(dataset))
        Object.assign(all, await this.evaluate(part, `${metricKeyPrefix}_${name}`));
      return all;
    }
    const lossOnly = this.args.predictionLossOnly || !this.#options.computeMetrics;
    const { metrics } = await this.#predict(dataset, metricKeyPrefix, lossOnly);
    await this.log(metrics);
    await this.#handler.call("onEvaluate", { metrics });
    return metrics;
  }

  /**
   * Predictions for all examples of a data set, and metrics where it has labels.
   * @throws TrainerError `E_DATA` for predictions that are too many to gather: see `preprocessLogitsForMetrics`
   */
  async predict(dataset: TrainerDataset, metricKeyPrefix = "test"): Promise<PredictionOutput> {
    await this.#initialized;
    return this.#predict(dataset, metricKeyPrefix, this.args.predictionLossOnly);
  }

  /** Adds an entry to the log and tells callbacks. */
  async log(values: Record<string, number>): Promise<void> {
    const { args, state } = this;
    const counted = args.includeNumInputTokensSeen;
    const logs: LogEntry = { ...values, epoch: state.epoch, step: state.globalStep };
    if (counted !== false && counted !== "no") logs.num_input_tokens_seen = state.numInputTokensSeen;
    state.logHistory.push(logs);
    await this.#handler.call("onLog", { logs });
  }

  /** Writes the model, the tokenizer and the arguments to a folder. */
  async saveModel(folder = this.args.outputDir): Promise<void> {
    await saveModel(this, folder);
  }

  #predict(dataset: TrainerDataset, metricKeyPrefix: string, lossOnly: boolean): Promise<PredictionOutput> {
    const { computeMetrics, preprocessLogitsForMetrics, dataCollator } = this.#options;
    return predictionLoop({
      trainer: this,
      handler: this.#handler,
      dataset,
      collate: dataCollator,
      metricKeyPrefix,
      lossOnly,
      ...(computeMetrics ? { computeMetrics } : {}),
      ...(preprocessLogitsForMetrics ? { preprocessLogitsForMetrics } : {}),
    });
  }
}

function isOneDataset(
  dataset: TrainerDataset | Readonly<Record<string, TrainerDataset>>,
): dataset is TrainerDataset {
  return typeof dataset.numRows === "number";
}
