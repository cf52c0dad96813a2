/** A training loop of one's own, without the Trainer: batches, a captured step, an evaluation, figures of each epoch. */
import { DataLoader, type Dataset, RandomSampler } from "@wgrad/datasets";
import {
  AdamW,
  binaryCrossEntropyWithLogits,
  capture,
  clipGradNorm_,
  type Device,
  NonFiniteError,
  noGrad,
  scope,
  Tensor,
} from "@wgrad/tensor";
import type { Example, FlattenedBatch } from "@wgrad/trainer";
import type { SentimentClassifier } from "./model.js";

/** What the loop is told. */
export interface LoopOptions {
  train: Dataset<Example>;
  validation: Dataset<Example>;
  collate: (examples: readonly Example[]) => FlattenedBatch;
  epochs: number;
  batchSize: number;
  learningRate: number;
  seed: number;
  /** Called after each step. */
  onStep?: (step: number, steps: number) => void;
  /** Called after each epoch. */
  onEpoch?: (figures: EpochFigures) => Promise<void>;
  /** Asked after each step: true ends the loop there. */
  isStopped?: () => boolean;
}

/** What an epoch came to. */
export interface EpochFigures {
  epoch: number;
  /** Optimizer steps so far. */
  step: number;
  trainLoss: number;
  trainAccuracy: number;
  validationLoss: number;
  validationAccuracy: number;
  seconds: number;
}

/** Loss and share of right answers over a data set, and the logit of each example in its order. */
export interface Evaluation {
  loss: number;
  accuracy: number;
  logits: Float32Array;
}

/** A batch on the GPU. B texts, T tokens of all of them. */
function upload(device: Device, batch: FlattenedBatch) {
  const { inputIds, positionIds, cuSeqlens, labels, batchSize } = batch;
  return {
    inputIds: Tensor.from(device, inputIds, [batch.length]),
    positionIds: Tensor.from(device, positionIds, [batch.length]),
    cuSeqlens: Tensor.from(device, cuSeqlens, [batchSize + 1]),
    labels: Tensor.from(device, Float32Array.from(labels!), [batchSize]),
  };
}

/**
 * Trains with AdamW at a constant rate, gradients clipped to norm 1, and evaluates after each epoch.
 * @throws NonFiniteError after an epoch whose loss is NaN or infinite
 */
export async function trainLoop(
  model: SentimentClassifier,
  options: LoopOptions,
): Promise<{ epochs: EpochFigures[]; steps: number; isStopped: boolean }> {
  const { device } = model.distilbert;
  const optimizer = new AdamW(model.parameters(), { lr: options.learningRate, weightDecay: 0.01 });
  // Sums over an epoch stay on the GPU: reading a number back would wait for it.
  const lossSum = Tensor.zeros(device, []);
  const hits = Tensor.zeros(device, []);

  // Runs as written once for each shape of batch; after that its dispatches are replayed without this JavaScript.
  const trainStep = capture((batch: ReturnType<typeof upload>) => {
    const logits = model.forward(batch);
    const loss = binaryCrossEntropyWithLogits(logits, batch.labels);
    loss.backward();
    clipGradNorm_(model.parameters(), 1);
    optimizer.step();
    optimizer.zeroGrad();
    lossSum.copy_(lossSum.add(loss.detach().mul(batch.labels.numel)));
    hits.copy_(hits.add(right(logits.detach(), batch.labels)));
  });

  const loader = new DataLoader<Example, FlattenedBatch>(options.train, {
    batchSize: options.batchSize,
    sampler: new RandomSampler(options.train.numRows, options.seed),
    collateFn: options.collate,
  });
  const steps = options.epochs * loader.length;
  const epochs: EpochFigures[] = [];
  let step = 0;
  let isStopped = false;
  try {
    for (let epoch = 0; epoch < options.epochs && !isStopped; epoch++) {
      const began = performance.now();
      model.train();
      loader.setEpoch(epoch);
      for (const batch of loader) {
        scope(() => trainStep(upload(device, batch)));
        await device.pace();
        options.onStep?.(++step, steps);
        isStopped = options.isStopped?.() ?? false;
        if (isStopped) break;
      }
      if (isStopped) break;
      const examples = options.train.numRows;
      const trainLoss = (await lossSum.item()) / examples;
      if (!Number.isFinite(trainLoss)) {
        throw new NonFiniteError(
          `epoch ${epoch + 1}: the mean loss is ${trainLoss}. Lower the learning rate (${options.learningRate}).`,
        );
      }
      const trainAccuracy = (await hits.item()) / examples;
      lossSum.zero_();
      hits.zero_();
      const validation = await evaluate(model, options.validation, options.collate);
      const figures: EpochFigures = {
        epoch: epoch + 1,
        step,
        trainLoss,
        trainAccuracy,
        validationLoss: validation.loss,
        validationAccuracy: validation.accuracy,
        seconds: (performance.now() - began) / 1000,
      };
      epochs.push(figures);
      await options.onEpoch?.(figures);
    }
  } finally {
    trainStep.dispose();
    optimizer.dispose();
    lossSum.dispose();
    hits.dispose();
  }
  return { epochs, steps: step, isStopped };
}

const EVALUATION_BATCH = 64;

/** Loss and accuracy over a data set, without dropout and without gradients. */
export async function evaluate(
  model: SentimentClassifier,
  dataset: Dataset<Example>,
  collate: LoopOptions["collate"],
): Promise<Evaluation> {
  const { device } = model.distilbert;
  const wasTraining = model.training;
  model.eval();
  const logits = new Float32Array(dataset.numRows);
  let done = 0;
  const loader = new DataLoader<Example, FlattenedBatch>(dataset, {
    batchSize: EVALUATION_BATCH,
    collateFn: collate,
  });
  for (const batch of loader) {
    const part = noGrad(() => scope(() => model.forward(upload(device, batch))));
    logits.set((await part.toArray()) as Float32Array, done);
    part.dispose();
    done += batch.batchSize;
  }
  model.train(wasTraining);
  const labels = Array.from({ length: dataset.numRows }, (_, i) => Number(dataset.at(i).label));
  const mean = (of: (logit: number, label: number) => number) =>
    labels.reduce((sum, label, i) => sum + of(logits[i]!, label), 0) / labels.length;
  return {
    loss: mean(crossEntropyOf),
    accuracy: mean((z, label) => Number(Number(z > 0) === label)),
    logits,
  };
}

/** −log of the probability that a logit gives to its label, stable for large ones: max(z, 0) − z·y + log(1 + e^−|z|). */
export function crossEntropyOf(logit: number, label: number): number {
  return Math.max(logit, 0) - logit * label + Math.log1p(Math.exp(-Math.abs(logit)));
}

/** 0-d: how many logits are on their label's side of 0. */
function right(logits: Tensor, labels: Tensor): Tensor {
  return logits.gt(0).to("f32").eq(labels).to("f32").sum();
}
