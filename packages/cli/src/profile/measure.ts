import type { Dataset } from "@wgrad/datasets";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import type { Device } from "@wgrad/tensor";
import { measurePeaks } from "@wgrad/tensor/lab";
import { type Profile, Profiler } from "@wgrad/tensor/profiler";
import {
  type Example,
  type TrainableModel,
  Trainer,
  type TrainerCallback,
  type TrainingArguments,
} from "@wgrad/trainer";
import { cpuTime } from "../kernels/verbs.js";
import { type BatchSettings, collatorOf } from "../training/data.js";
import type { Progress, Ui } from "../ui.js";

/** The training whose steps are measured: everything loaded. */
export interface ProfiledTraining {
  readonly title: string;
  readonly model: TrainableModel;
  readonly tokenizer: PreTrainedTokenizer;
  readonly args: Readonly<TrainingArguments>;
  readonly batches: BatchSettings;
  readonly train: Dataset<Example>;
}

/** How many steps. */
export interface StepCounts {
  /** Measured dispatch by dispatch; as many are measured without timestamps, one before each. */
  readonly steps: number;
  /** Before them: programs are compiled, buffers made and the step recorded. */
  readonly warmup: number;
}

/**
 * Trains on the same examples again and again, so that all steps are alike, and measures some of them. Nothing is written or
 * evaluated.
 */
export async function measureSteps(
  device: Device,
  training: ProfiledTraining,
  { steps, warmup }: StepCounts,
  ui: Ui,
): Promise<Profile> {
  ui.status("Measuring the peaks of this adapter");
  const { f32, copy } = await measurePeaks(device);
  ui.done();
  const { model, args } = training;
  const profiler = new Profiler(device, {
    title: training.title,
    model,
    cpuTime,
    peaks: { flops: f32.perSecond, bytesPerSecond: copy.perSecond },
  });
  const maxSteps = warmup + 2 * steps;
  const progress = ui.progress("Steps", maxSteps);
  const trainer = new Trainer({
    model,
    args: {
      ...args,
      maxSteps,
      loggingStrategy: "no",
      evalStrategy: "no",
      saveStrategy: "no",
      loadBestModelAtEnd: false,
    },
    trainDataset: oneStep(training.train, args),
    dataCollator: collatorOf(training.tokenizer, training.batches),
    callbacks: [new StepMeter(profiler, warmup, progress, ui)],
  });
  await trainer.train();
  progress.finish();
  return profiler.profile();
}

/** The examples of one step, so that an epoch is one. */
function oneStep(train: Dataset<Example>, args: Readonly<TrainingArguments>): Dataset<Example> {
  const wanted = args.perDeviceTrainBatchSize * args.gradientAccumulationSteps;
  return train.take(Math.min(wanted, train.numRows));
}

/** Measures the steps of a training after the warm-up, one without and one with timestamps in turn. */
class StepMeter implements TrainerCallback {
  readonly #profiler: Profiler;
  readonly #warmup: number;
  readonly #progress: Progress;
  readonly #ui: Ui;
  #step = 0;

  constructor(profiler: Profiler, warmup: number, progress: Progress, ui: Ui) {
    this.#profiler = profiler;
    this.#warmup = warmup;
    this.#progress = progress;
    this.#ui = ui;
  }

  onCompile({ done, total }: { done: number; total: number }): void {
    this.#ui.status(`Compiling programs: ${done} of ${total}`);
  }

  async onStepBegin(): Promise<void> {
    const measured = this.#step - this.#warmup;
    if (measured >= 0) await this.#profiler.begin({ timed: measured % 2 === 1 });
  }

  async onStepEnd(): Promise<void> {
    await this.#profiler.end();
    this.#step++;
    this.#progress.update(this.#step, this.#step < this.#warmup ? "warming up" : "");
  }
}
