// Trainers for other tasks, losses, optimizers and data than those of trainer.test.ts.
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SequentialSampler } from "@wgrad/datasets";
import { DistilBertForMaskedLM, DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { crossEntropy, type Device, manualSeed, SGD, type Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainerDataset } from "./batch-queue.js";
import type { CallbackState, TrainerCallback } from "./callbacks.js";
import {
  type CollateContext,
  dataCollatorWithFlattening,
  dataCollatorWithPadding,
  type Example,
} from "./data-collator.js";
import { EarlyStoppingCallback } from "./early-stopping.js";
import { dataCollatorForLanguageModeling } from "./language-modeling-collator.js";
import { classificationMetrics, type EvalPrediction } from "./metrics.js";
import type { ModelInputs, TrainableModel } from "./model-inputs.js";
import { type LossOptions, Trainer, type TrainerOptions } from "./trainer.js";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "wgrad-tasks-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const config = () =>
  distilBertConfig({
    vocab_size: 30,
    dim: 16,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 32,
    max_position_embeddings: 16,
    dropout: 0,
    attention_dropout: 0,
    seq_classif_dropout: 0,
  });
function classifier(): DistilBertForSequenceClassification {
  manualSeed(device, 1);
  return new DistilBertForSequenceClassification(device, config()).initAllWeights();
}
function languageModel(): TrainableModel {
  manualSeed(device, 2);
  return new DistilBertForMaskedLM(device, config()).initAllWeights() as unknown as TrainableModel;
}

const rows: Example[] = Array.from({ length: 16 }, (_, i) => ({
  inputIds: [1, ...Array.from({ length: 4 + ((i * 5) % 7) }, (_, t) => 6 + ((i * 11 + t * 5) % 24)), 2],
  label: (i * 7) % 3 === 0 ? 1 : 0,
}));
/** A data set that is no `Dataset`. */
const dataset: TrainerDataset = {
  numRows: rows.length,
  at: (i) => rows[i]!,
  rows: (indices) => indices.map((i) => rows[i]!),
};
const pad = { padTokenId: 0 };
const masking = { ...pad, maskTokenId: 3, allSpecialIds: [0, 1, 2, 3], fullVocabSize: 30 };

const options = (
  name: string,
  args: TrainerOptions["args"],
  extra: Partial<TrainerOptions> = {},
): TrainerOptions => ({
  model: extra.model ?? classifier(),
  dataCollator: dataCollatorWithPadding(pad, { padToMultipleOf: 4 }),
  trainDataset: dataset,
  evalDataset: dataset,
  ...extra,
  args: {
    outputDir: join(folder, name),
    perDeviceTrainBatchSize: 8,
    saveStrategy: "no",
    learningRate: 1e-3,
    loggingSteps: 1,
    ...args,
  },
});

async function weightsOf(trainer: Trainer): Promise<number[]> {
  const out: number[] = [];
  for (const parameter of trainer.model.parameters())
    out.push(...((await parameter.toArray()) as Float32Array));
  return out;
}
const lossesOf = (trainer: Trainer) =>
  trainer.state.logHistory.flatMap((entry) => (entry.loss === undefined ? [] : [entry.loss]));
const largestDifference = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

describe("a masked language model", () => {
  it("takes the same step in parts with unequal numbers of masked tokens as in one batch, padded or not", async () => {
    const run = async (name: string, size: number, parts: number, flatten: boolean, capture = true) => {
      const trainer = new Trainer(
        options(
          name,
          {
            maxSteps: 2,
            perDeviceTrainBatchSize: size,
            gradientAccumulationSteps: parts,
            capture,
            optim: "sgd",
          },
          {
            model: languageModel(),
            dataCollator: dataCollatorForLanguageModeling(masking, {
              mlmProbability: 0.4,
              flatten,
              padToMultipleOf: flatten ? 64 : 4,
            }),
          },
        ),
      );
      await trainer.train();
      return { losses: lossesOf(trainer), weights: await weightsOf(trainer) };
    };
    const whole = await run("mlm-whole", 16, 1, false);
    for (const [name, flatten] of [
      ["mlm-parts", false],
      ["mlm-flat", true],
    ] as const) {
      const parts = await run(name, 4, 4, flatten);
      expect(largestDifference(parts.losses, whole.losses), name).toBeLessThan(2e-6);
      expect(largestDifference(parts.weights, whole.weights), name).toBeLessThan(2e-7);
    }
  });

  it("is evaluated a token at a time, made small on the device, in the order of the data set", async () => {
    const seen: EvalPrediction[] = [];
    const run = async (flatten: boolean) => {
      const trainer = new Trainer(
        options(
          "mlm-eval",
          { perDeviceEvalBatchSize: 6, includeForMetrics: ["inputs", "loss"] },
          {
            model: languageModel(),
            dataCollator: dataCollatorForLanguageModeling(masking, { mlmProbability: 0.4, flatten }),
            preprocessLogitsForMetrics: (logits) => logits.argmax(-1),
            computeMetrics: (prediction) => {
              seen.push(prediction);
              return { masked: prediction.labelIds.filter((label) => label !== -100).length };
            },
          },
        ),
      );
      return trainer.evaluate();
    };
    const [padded, flat] = [await run(false), await run(true)];
    expect(flat.eval_loss).toBeCloseTo(padded.eval_loss!, 5);
    expect(flat.eval_masked).toBe(padded.eval_masked);
    const [a, b] = seen as [EvalPrediction, EvalPrediction];
    expect(a.predictionsShape).toEqual([16, 12]);
    expect(a.labelIdsShape).toEqual([16, 12]);
    expect(b.labelIds).toEqual(a.labelIds);
    expect(b.predictions).toEqual(a.predictions);
    // A label is what stood in the data set; behind the end of a row there is -100.
    rows.forEach(({ inputIds }, i) => {
      for (let t = 0; t < 12; t++) {
        const label = a.labelIds[i * 12 + t]!;
        if (label !== -100) expect(label).toBe(inputIds[t]);
        if (t >= inputIds.length) expect(a.inputs![i * 12 + t]).toBe(-100);
      }
    });
    expect(a.losses).toHaveLength(16);
  });
});

describe("a loss of one's own", () => {
  it("is scaled by the items of the whole step, by the trainer or by itself", async () => {
    class Scaled extends Trainer {
      override lossIsScaledForGa = true;
      override computeLoss(inputs: ModelInputs, { numItemsInBatch }: LossOptions) {
        const { logits } = this.model.forward({ ...inputs, labels: null });
        const sum = crossEntropy(logits, inputs.labels!, { reduction: "sum" });
        return { loss: numItemsInBatch ? sum.div(numItemsInBatch) : sum.div(logits.size(0)), logits };
      }
    }
    const args = { maxSteps: 3, perDeviceTrainBatchSize: 3, gradientAccumulationSteps: 3 } as const;
    const plain = new Trainer(options("loss-plain", args));
    const scaled = new Scaled(options("loss-scaled", args));
    const func = new Trainer(
      options("loss-func", args, {
        computeLossFunc: ({ logits }, labels: Tensor, { numItemsInBatch }) => {
          const sum = crossEntropy(logits, labels, { reduction: "sum" });
          return numItemsInBatch ? sum.div(numItemsInBatch) : sum.div(logits.size(0));
        },
      }),
    );
    for (const trainer of [plain, scaled, func]) await trainer.train();
    const want = await weightsOf(plain);
    expect(largestDifference(await weightsOf(scaled), want)).toBeLessThan(1e-5);
    expect(largestDifference(await weightsOf(func), want)).toBeLessThan(1e-5);
    expect(largestDifference(lossesOf(scaled), lossesOf(plain))).toBeLessThan(1e-5);
  });

  it("with smoothed labels is crossEntropy's", async () => {
    const model = classifier();
    const trainer = new Trainer(
      options("smooth", { labelSmoothingFactor: 0.2, perDeviceEvalBatchSize: 16 }, { model }),
    );
    const { eval_loss } = await trainer.evaluate();
    const { predictions, labelIds } = await trainer.predict(dataset);
    let want = 0;
    for (let i = 0; i < 16; i++) {
      const [x, y] = [predictions[2 * i]!, predictions[2 * i + 1]!];
      const log = Math.log(Math.exp(x) + Math.exp(y));
      const own = log - (labelIds![i] === 1 ? y : x);
      want += 0.8 * own + 0.1 * (log - x + (log - y));
    }
    expect(eval_loss).toBeCloseTo(want / 16, 5);
  });
});

describe("what a subclass and the arguments choose", () => {
  it("optimizers, groups with rates of their own, samplers and async collators", async () => {
    const rates: (number | null)[][] = [];
    const firsts: number[] = [];
    class Own extends Trainer {
      override createOptimizer(): SGD {
        const [head, body] = [[], []] as [Tensor[], Tensor[]];
        for (const [name, p] of this.model.namedParameters()) (/classifier/.test(name) ? head : body).push(p);
        return new SGD([{ params: body, lr: 1e-4 }, { params: head }], { lr: 1e-3, momentum: 0.9 });
      }
      override getTrainSampler(data: TrainerDataset): SequentialSampler {
        return new SequentialSampler(data.numRows);
      }
    }
    const flatten = dataCollatorWithFlattening(pad);
    const trainer = new Own(
      options(
        "own",
        { maxSteps: 4, lrSchedulerType: "linear", dataloaderNumWorkers: 2 },
        {
          dataCollator: async (examples: readonly Example[], context?: CollateContext) => {
            if (context?.training) firsts.push(context.indices[0]!);
            await new Promise((resolve) => setTimeout(resolve, 1));
            return flatten(examples);
          },
          callbacks: [{ onStepEnd: () => void rates.push(trainer.optimizer!.paramGroups.map((g) => g.lr)) }],
        },
      ),
    );
    await trainer.train();
    expect(firsts.slice(0, 4)).toEqual([0, 8, 0, 8]);
    expect(rates.map(([body]) => body)).toEqual(
      [1e-4, 0.75e-4, 0.5e-4, 0.25e-4].map((r) => expect.closeTo(r, 12)),
    );
    expect(rates.map(([, head]) => head)).toEqual([1e-3, 0.75e-3, 0.5e-3, 0.25e-3]);
    for (const optim of ["sgd", "adafactor"] as const) {
      const args = {
        optim,
        optimArgs: optim === "sgd" ? "momentum=0.9,nesterov=true" : null,
        maxSteps: 8,
        perDeviceTrainBatchSize: 16,
      };
      const other = new Trainer(options(optim, { ...args, learningRate: 2e-2 }));
      await other.train();
      expect(lossesOf(other).at(-1)!, optim).toBeLessThan(lossesOf(other)[0]!);
    }
    expect(() => new Trainer(options("bad", { optimArgs: "momentum=0.9" })).createOptimizer()).toThrow(
      '"momentum=0.9" is nothing that adamw takes',
    );
    expect(() => new Trainer(options("bad", { lrSchedulerKwargs: { power: 2 } })).createScheduler(5)).toThrow(
      "the schedule linear has no power",
    );
  });

  it("evaluates, saves the best, follows a plateau, and goes on with the same rate and patience", async () => {
    const asked: number[] = [];
    const measure = [0.5, 0.6, 0.55, 0.58, 0.57, 0.56];
    const start = (name: string, extra: Partial<TrainerOptions> = {}, more: TrainerOptions["args"] = {}) => {
      let next = 0;
      const trainer = new Trainer(
        options(
          name,
          {
            maxSteps: 10,
            evalStrategy: "steps",
            evalSteps: 2,
            evalDelay: 3,
            evalOnStart: true,
            saveStrategy: "best",
            metricForBestModel: "measure",
            loadBestModelAtEnd: true,
            lrSchedulerType: "reduce_lr_on_plateau",
            lrSchedulerKwargs: { factor: 0.5, patience: 0 },
            includeNumInputTokensSeen: "all",
            ...more,
          },
          {
            computeMetrics: () => {
              asked.push(next);
              return { measure: measure[next++]! };
            },
            ...extra,
          },
        ),
      );
      return trainer;
    };
    const whole = start("plateau");
    await whole.train();
    const evaluations = whole.state.logHistory.filter((entry) => "eval_measure" in entry);
    expect(evaluations.map(({ step }) => step)).toEqual([0, 4, 6, 8, 10]);
    // The evaluation at the start does not count; 0.6 at step 4 is the best.
    expect(whole.state).toMatchObject({ bestMetric: 0.6, bestGlobalStep: 4 });
    expect(whole.state.bestModelCheckpoint).toBe(join(folder, "plateau", "checkpoint-4"));
    expect(existsSync(join(folder, "plateau", "checkpoint-6"))).toBe(false);
    const rate = (step: number) =>
      whole.state.logHistory.find((entry) => entry.step === step && "learning_rate" in entry)!.learning_rate;
    expect([rate(6), rate(7), rate(9), rate(10)]).toEqual([1e-3, 5e-4, 2.5e-4, 2.5e-4]);
    const last = whole.state.logHistory.at(-1)!;
    expect(Object.keys(last)).toEqual(expect.arrayContaining(["train_runtime", "total_flos", "train_loss"]));
    expect(last.num_input_tokens_seen).toBeGreaterThan(0);
    const json = JSON.parse(
      readFileSync(join(folder, "plateau", "checkpoint-4", "trainer_state.json"), "utf8"),
    );
    expect(Object.keys(json)).toEqual([
      "best_global_step",
      "best_metric",
      "best_model_checkpoint",
      "epoch",
      "eval_steps",
      "global_step",
      "is_hyper_param_search",
      "is_local_process_zero",
      "is_world_process_zero",
      "log_history",
      "logging_steps",
      "max_steps",
      "num_input_tokens_seen",
      "num_train_epochs",
      "save_steps",
      "stateful_callbacks",
      "total_flos",
      "train_batch_size",
      "trial_name",
      "trial_params",
    ]);
  });

  it("gives stateful callbacks their state back, and stops early where it would have", async () => {
    class Counter implements TrainerCallback {
      steps = 0;
      onStepEnd(): void {
        this.steps++;
      }
      state(): CallbackState {
        return { args: {}, attributes: { steps: this.steps } };
      }
      loadState({ attributes }: CallbackState): void {
        this.steps = attributes.steps as number;
      }
    }
    const start = (measure: number[], callbacks: TrainerCallback[], saveSteps = 2) => {
      let next = 0;
      return new Trainer(
        options(
          "stateful",
          {
            maxSteps: 20,
            evalStrategy: "steps",
            evalSteps: 2,
            saveStrategy: "steps",
            saveSteps,
            metricForBestModel: "measure",
          },
          { computeMetrics: () => ({ measure: measure[next++] ?? 0 }), callbacks },
        ),
      );
    };
    const first = start(
      [0.9, 0.8, 0.7, 0.6],
      [new EarlyStoppingCallback({ earlyStoppingPatience: 3 }), new Counter()],
    );
    await first.train();
    expect(first.state.globalStep).toBe(8);
    const counter = new Counter();
    const second = start([0.7, 0.6], [new EarlyStoppingCallback({ earlyStoppingPatience: 3 }), counter], 100);
    await second.train({ resumeFromCheckpoint: join(folder, "stateful", "checkpoint-4") });
    expect(second.state.globalStep).toBe(8);
    expect(counter.steps).toBe(8);
    // The newest checkpoint is that of a run which had stopped.
    const third = start([], [new EarlyStoppingCallback({ earlyStoppingPatience: 3 })]);
    await third.train({ resumeFromCheckpoint: true });
    expect(third.state.globalStep).toBe(8);
  });

  it("evaluates several data sets, and predicts without labels", async () => {
    const trainer = new Trainer(
      options(
        "several",
        {},
        { evalDataset: { one: dataset, two: dataset }, computeMetrics: classificationMetrics },
      ),
    );
    const metrics = await trainer.evaluate();
    expect(metrics.eval_one_accuracy).toBe(metrics.eval_two_accuracy);
    const bare = rows.map(({ inputIds }) => ({ inputIds }));
    const own = { numRows: 16, at: (i: number) => bare[i]!, rows: (at: number[]) => at.map((i) => bare[i]!) };
    const { labelIds, predictionsShape, metrics: figures } = await trainer.predict(own);
    expect([labelIds, predictionsShape]).toEqual([null, [16, 2]]);
    expect(figures.test_loss).toBeUndefined();
  });
});

describe("what goes wrong", () => {
  it("leaves the last checkpoint as it was: a loss that is not finite, a lost device", async () => {
    const args = { maxSteps: 8, loggingSteps: 100, saveStrategy: "steps", saveSteps: 2 } as const;
    const poison: TrainerCallback = {
      onStepBegin: ({ trainer, state }) => {
        const { classifier } = trainer.model as unknown as DistilBertForSequenceClassification;
        if (state.globalStep === 5) classifier.bias!.copy_(Float32Array.of(Number.NaN, 0));
      },
    };
    const trainer = new Trainer(options("nan", args, { callbacks: [poison] }));
    await expect(trainer.train()).rejects.toThrow(/the loss is NaN .* between steps 0 and 6/);
    expect(existsSync(join(folder, "nan", "checkpoint-4", "run_state.json"))).toBe(true);
    expect(existsSync(join(folder, "nan", "checkpoint-6"))).toBe(false);
    const own = await openDevice();
    manualSeed(own, 1);
    const model = new DistilBertForSequenceClassification(own, config()).initAllWeights();
    const lose: TrainerCallback = {
      onStepEnd: ({ state }) => {
        if (state.globalStep === 5) own.close();
      },
    };
    const lost = new Trainer(options("lost", args, { model, callbacks: [lose] }));
    await expect(lost.train()).rejects.toMatchObject({ code: "E_DEVICE_LOST" });
    expect(existsSync(join(folder, "lost", "checkpoint-4", "run_state.json"))).toBe(true);
    expect(existsSync(join(folder, "lost", "checkpoint-6"))).toBe(false);
  });
});
