/** Masked-language modelling on the sentences of a task, before it is learned. */
import type { Dataset } from "@wgrad/datasets";
import { AutoModelForMaskedLM, AutoTokenizer } from "@wgrad/models/node";
import { manualSeed } from "@wgrad/tensor";
import { dataCollatorForLanguageModeling, type Example, Trainer, trainingArguments } from "@wgrad/trainer";
import { withDevice } from "../../device.js";
import { hubOptions } from "../../hub.js";
import { type RunMetrics, writeMetrics } from "../../runs/run-folder.js";
import { openDataset, remarks, takeSplit, textColumnOf, tokenizeSplit } from "../../training/data.js";
import { chooseMaxLength } from "../../training/load.js";
import { setAside } from "../../training/prepare.js";
import { trainMonitored } from "../../training/run.js";
import type { Recipe } from "../../training/settings.js";
import { formatCount, type Ui } from "../../ui.js";

/** What the first stage is told beside the recipe of the second. */
export interface MlmSettings {
  /** Share of the tokens that are to be predicted. */
  mlmProbability: number;
  mlmEpochs: number;
  mlmLearningRate: number;
  mlmBatchSize: number;
}

/** Loss on masked tokens of the validation split, and e to the power of it. */
export interface MaskedLoss {
  loss: number;
  perplexity: number;
}

/** What came of {@link pretrain}. */
export interface Pretraining {
  metrics: RunMetrics;
  /** Null without a split to measure on. */
  before: MaskedLoss | null;
  after: MaskedLoss | null;
}

/**
 * Goes on with the pre-training of a model on the texts of a data set's training split, and saves it in `folder`: the
 * encoder and the head that predicts tokens. Labels are not looked at.
 * @param options.recipe the lab's, to be written beside it
 */
export async function pretrain(
  { settings, args }: Recipe,
  mlm: MlmSettings,
  options: { folder: string; recipe: string; offline: boolean; resume: boolean; goOn: string },
  ui: Ui,
): Promise<Pretraining> {
  const { folder, offline, resume, goOn } = options;
  const { seed } = args;
  const open = await openDataset(settings.dataset, { offline, ui });
  const splits = setAside(open, settings, seed, ui);
  const resolve = hubOptions(offline, ui);
  const tokenizer = await AutoTokenizer.fromPretrained(settings.model, resolve);
  return withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    // A head without weights is drawn anew, from the recipe's seed.
    manualSeed(device, seed);
    const { model } = await AutoModelForMaskedLM.fromPretrained(device, settings.model, {
      ...resolve,
      onWarning: (message) => ui.note(message),
    });
    ui.done();
    const maxLength = chooseMaxLength(settings.maxLength, model);
    const tokenized = (split: string): Dataset<Example> => {
      const rows = takeSplit(splits, split, settings.subset, seed);
      const textColumn = textColumnOf(rows, settings.textColumn);
      const result = tokenizeSplit(
        rows,
        { textColumn, labelColumn: null, labels: [], tokenizer, maxLength, needsLabels: false },
        ui,
      );
      for (const line of remarks(split, result, maxLength)) ui.note(line);
      return result.examples;
    };
    const train = tokenized(settings.trainSplit);
    const validation = splits.has(settings.evalSplit) ? tokenized(settings.evalSplit) : null;
    const runArgs = trainingArguments({
      ...args,
      outputDir: folder,
      numTrainEpochs: mlm.mlmEpochs,
      maxSteps: -1,
      learningRate: mlm.mlmLearningRate,
      perDeviceTrainBatchSize: mlm.mlmBatchSize,
      // A row of logits has as many values as the vocabulary: an evaluation is no wider than training.
      perDeviceEvalBatchSize: mlm.mlmBatchSize,
      warmupSteps: 0,
      warmupRatio: 0,
      evalStrategy: validation ? "epoch" : "no",
      saveStrategy: "epoch",
      saveTotalLimit: 1,
      loadBestModelAtEnd: false,
      metricForBestModel: null,
      labelSmoothingFactor: 0,
      predictionLossOnly: true,
    });
    const collator = dataCollatorForLanguageModeling(tokenizer, {
      mlmProbability: mlm.mlmProbability,
      seed: args.dataSeed ?? seed,
      flatten: settings.paddingFree,
      padToMultipleOf: settings.padToMultipleOf ?? (settings.paddingFree ? 64 : 8),
    });
    ui.note(
      `Pre-training on ${formatCount(train.numRows)} texts of ${settings.dataset}, ${(100 * mlm.mlmProbability).toFixed(0)}% of the tokens masked; ${formatCount(model.numParameters())} parameters`,
    );
    const measure = async (trainer: Trainer, when: string): Promise<MaskedLoss | null> => {
      if (!validation) return null;
      const { metrics } = await trainer.predict(validation, "eval");
      const loss = metrics.eval_loss!;
      const measured = { loss, perplexity: Math.exp(loss) };
      ui.result(
        `${when}: loss ${loss.toFixed(4)} on masked tokens of ${settings.evalSplit}, perplexity ${formatPerplexity(measured.perplexity)}`,
      );
      return measured;
    };
    const observer = new Trainer({ model, args: { ...runArgs, reportTo: [] }, dataCollator: collator });
    const before = await measure(observer, "Before pre-training");
    const { trainer, result } = await trainMonitored(
      {
        lab: "mlm",
        model,
        tokenizer,
        labels: [],
        args: runArgs,
        train,
        validation,
        resume,
        recipe: options.recipe,
        goOn,
        collator,
        computeMetrics: null,
      },
      ui,
    );
    if (result.interrupted) return { metrics: result, before, after: null };
    const after = await measure(trainer, "After pre-training");
    if (after)
      result.validation = {
        eval_loss: after.loss,
        eval_perplexity: after.perplexity,
        epoch: trainer.state.epoch,
        step: result.global_step,
      };
    await trainer.saveModel(folder);
    await writeMetrics(folder, result);
    model.dispose();
    return { metrics: result, before, after };
  });
}

/** Three digits, or all of a whole number that has more. */
export function formatPerplexity(value: number): string {
  return value < 100 ? value.toPrecision(3) : Math.round(value).toLocaleString("en-US");
}
