import { noGrad, scope, type Tensor } from "@wgrad/tensor";
import { BatchQueue, type QueuedBatch, type TrainerDataset } from "./batch-queue.js";
import type { CallbackHandler } from "./callback-handler.js";
import { type AnyDataCollator, isTokenBatch } from "./data-collator.js";
import { TrainerError } from "./errors.js";
import type { EvalPrediction } from "./metrics.js";
import { hasTokenLabels, itemsOf, type ModelInputs, type ModelOutputs } from "./model-inputs.js";
import { inPrecision, prepared } from "./precision.js";
import { PredictionTable } from "./prediction-table.js";
import type { Trainer } from "./trainer.js";

/** Result of `predict`. */
export interface PredictionOutput {
  /** Row-major, in the order of the data set; f32 whatever the model gave. Empty where only the loss was asked for. */
  predictions: Float32Array;
  /** [numExamples, numLabels]; of a model that gives a value a token [numExamples, T, …], filled up with -100. */
  predictionsShape: readonly number[];
  /** [numExamples], or [numExamples, T] for token labels, filled up with -100; null without labels. */
  labelIds: Int32Array | null;
  /** Last size of `predictionsShape`. */
  numLabels: number;
  metrics: Record<string, number>;
}

/** What a `Trainer` was given for evaluating. */
export interface PredictionOptions {
  computeMetrics?: (prediction: EvalPrediction) => Record<string, number> | Promise<Record<string, number>>;
  /** Makes a batch's predictions small on the device before they are read, such as `(logits) => logits.argmax(-1)`. */
  preprocessLogitsForMetrics?: (logits: Tensor, labels: Tensor | null) => Tensor;
}

interface LoopOptions extends PredictionOptions {
  trainer: Trainer;
  handler: CallbackHandler;
  dataset: TrainerDataset;
  collate: AnyDataCollator;
  metricKeyPrefix: string;
  /** Gather nothing but the loss. */
  lossOnly: boolean;
}

/** Loss, predictions and metrics of a data set, as `transformers.Trainer.evaluation_loop`. */
export async function predictionLoop(options: LoopOptions): Promise<PredictionOutput> {
  const { trainer, handler, dataset, collate, lossOnly, metricKeyPrefix } = options;
  const { args, model, device } = trainer;
  const wasTraining = model.training;
  const began = performance.now();
  const queue = new BatchQueue(dataset, trainer.getEvalSampler(dataset), collate, {
    batchSize: args.perDeviceEvalBatchSize,
    dropLast: false,
    ahead: args.dataloaderNumWorkers * (args.dataloaderPrefetchFactor ?? 2),
    training: false,
  });
  const wantsLosses = args.includeForMetrics.includes("loss");
  const wantsInputs = args.includeForMetrics.includes("inputs");
  const rows = dataset.numRows;
  const tables = {
    predictions: new PredictionTable(rows),
    labels: new PredictionTable(rows),
    inputs: new PredictionTable(rows),
  };
  const losses = new Float32Array(rows);
  let lossSum = 0;
  let items = 0;
  let gaveLoss = false;
  const batches = queue.length;
  model.eval();
  try {
    for (let b = 0; b < batches; b++) {
      const { batch, indices } = await queue.next();
      const compute = () => noGrad(() => scope(() => computeBatch(options, { batch, indices })));
      const { loss, output, perToken } = b === 0 ? await prepared(device, handler, compute) : compute();
      queue.fill();
      if (output) {
        const values = (await output.toArray()) as Float32Array;
        tables.predictions.add(values, output.shape, batch, indices, perToken);
        output.dispose();
      }
      if (batch.labels && !lossOnly)
        tables.labels.add(batch.labels, labelShape(batch), batch, indices, hasTokenLabels(batch));
      if (wantsInputs && !lossOnly && isTokenBatch(batch)) {
        const flat = "cuSeqlens" in batch;
        const shape = flat ? [batch.length] : [batch.batchSize, batch.length];
        tables.inputs.add(batch.inputIds, shape, batch, indices, true);
      }
      if (loss) {
        const value = await loss.item();
        loss.dispose();
        const count = itemsOf(batch);
        gaveLoss = true;
        if (count > 0) lossSum += value * count;
        items += count;
        for (const row of indices) losses[row] = value;
      }
      await handler.call("onPredictionStep", { batch: b + 1, batches });
    }
  } finally {
    model.train(wasTraining);
  }
  const seconds = (performance.now() - began) / 1000;
  const gathered = tables.predictions.gather((n) => new Float32Array(n));
  const labels = tables.labels.gather((n) => new Int32Array(n));
  const inputs = tables.inputs.gather((n) => new Int32Array(n));
  const predictions = gathered?.values ?? new Float32Array(0);
  const predictionsShape = gathered?.shape ?? [0];
  const numLabels = predictionsShape.at(-1)!;
  const own: Record<string, number> = gaveLoss ? { loss: lossSum / Math.max(1, items) } : {};
  if (labels && gathered && options.computeMetrics) {
    const prediction: EvalPrediction = {
      predictions,
      predictionsShape,
      labelIds: labels.values,
      labelIdsShape: labels.shape,
      numLabels,
      ...(wantsLosses ? { losses } : {}),
      ...(inputs ? { inputs: inputs.values, inputsShape: inputs.shape } : {}),
    };
    Object.assign(own, await options.computeMetrics(prediction));
  }
  own.runtime = seconds;
  own.samples_per_second = rows / seconds;
  own.steps_per_second = batches / seconds;
  device.check();
  const prefix = `${metricKeyPrefix}_`;
  return {
    predictions,
    predictionsShape,
    labelIds: labels?.values ?? null,
    numLabels,
    metrics: Object.fromEntries(
      Object.entries(own).map(([key, value]) => [key.startsWith(prefix) ? key : prefix + key, value]),
    ),
  };
}

interface BatchResult {
  loss: Tensor | null;
  /** Null where only the loss is asked for. */
  output: Tensor | null;
  /** Whether `output` has a value a token. */
  perToken: boolean;
}

function computeBatch(
  { trainer, lossOnly, preprocessLogitsForMetrics }: LoopOptions,
  { batch }: QueuedBatch,
): BatchResult {
  const { args, model } = trainer;
  const inputs: ModelInputs = trainer.prepareInputs(batch);
  const { loss, logits } = inPrecision(args, () =>
    inputs.labels
      ? trainer.computeLoss(inputs, { numItemsInBatch: null })
      : { loss: null, ...(model.forward(inputs) as Partial<ModelOutputs>) },
  );
  if (lossOnly) return { loss: loss ?? null, output: null, perToken: false };
  if (!logits)
    throw new TrainerError(
      "E_DATA",
      `${model.constructor.name} gives no logits to predict from. Override computeLoss to return some, or give predictionLossOnly.`,
    );
  const output = preprocessLogitsForMetrics?.(logits, inputs.labels ?? null) ?? logits;
  const flat = "cuSeqlens" in batch;
  const isTokenwise = flat
    ? logits.size(0) === batch.length && (batch.length !== batch.batchSize || hasTokenLabels(batch))
    : isTokenBatch(batch) && logits.rank >= 3;
  const keepsTokens = output.size(0) === logits.size(0) && (flat || output.size(1) === logits.size(1));
  const perToken = isTokenwise && keepsTokens;
  if (!perToken && output.size(0) !== batch.batchSize)
    throw new TrainerError(
      "E_DATA",
      `preprocessLogitsForMetrics gave ${output.toString()} for a batch of ${batch.batchSize} examples: expected a row an example, or a value a token.`,
    );
  return { loss: loss ?? null, output, perToken };
}

function labelShape(batch: QueuedBatch["batch"]): readonly number[] {
  if (!isTokenBatch(batch) || !hasTokenLabels(batch)) return [batch.batchSize];
  return "cuSeqlens" in batch ? [batch.length] : [batch.batchSize, batch.length];
}
