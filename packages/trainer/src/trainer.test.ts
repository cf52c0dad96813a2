import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataset } from "@wgrad/datasets";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { type Device, manualSeed } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainerCallback } from "./callbacks.js";
import { dataCollatorWithPadding, type Example } from "./data-collator.js";
import { EarlyStoppingCallback } from "./early-stopping.js";
import { classificationMetrics } from "./metrics.js";
import { Trainer, type TrainerOptions } from "./trainer.js";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "wgrad-trainer-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Which of two words comes first decides the label: nothing that counting words could find. */
const examples = (count: number, seed: number): Dataset<Example> =>
  Dataset.fromList<Example>(
    Array.from({ length: count }, (_, i) => {
      const length = 4 + ((i * 7 + seed) % 5);
      const words = Array.from({ length }, (_, j) => 10 + ((i * 13 + j * 5 + seed) % 20));
      const label = (i + seed) % 2;
      const first = 1 + (i % (length - 2));
      words[first] = label === 0 ? 5 : 6;
      words[first + 1] = label === 0 ? 6 : 5;
      return { inputIds: [1, ...words, 2], label };
    }),
  );

const collator = dataCollatorWithPadding({ padTokenId: 0 }, { padToMultipleOf: 4 });

function newModel(dropout = 0, seed = 1): DistilBertForSequenceClassification {
  manualSeed(device, seed);
  const config = distilBertConfig({
    vocab_size: 30,
    dim: 16,
    n_heads: 2,
    n_layers: 1,
    hidden_dim: 32,
    max_position_embeddings: 16,
    dropout,
    attention_dropout: dropout,
    seq_classif_dropout: dropout,
  });
  return new DistilBertForSequenceClassification(device, config).initAllWeights();
}

const options = (
  name: string,
  args: TrainerOptions["args"],
  extra: Partial<TrainerOptions> = {},
): TrainerOptions => ({
  model: newModel(),
  dataCollator: collator,
  trainDataset: examples(48, 1),
  evalDataset: examples(20, 4),
  computeMetrics: classificationMetrics,
  ...extra,
  args: { outputDir: join(folder, name), perDeviceTrainBatchSize: 8, saveStrategy: "no", ...args },
});

describe("Trainer", () => {
  it("learns, logs as Hugging Face's does, and calls callbacks in order", async () => {
    const events: string[] = [];
    const spy: TrainerCallback = {
      onTrainBegin: () => void events.push("trainBegin"),
      onEpochBegin: () => void events.push("epochBegin"),
      onStepEnd: () => void events.push("step"),
      onLog: () => void events.push("log"),
      onEvaluate: () => void events.push("evaluate"),
      onEpochEnd: () => void events.push("epochEnd"),
      onTrainEnd: () => void events.push("trainEnd"),
    };
    const trainer = new Trainer(
      options(
        "learn",
        { numTrainEpochs: 30, learningRate: 5e-3, evalStrategy: "epoch", loggingStrategy: "epoch" },
        { callbacks: [spy] },
      ),
    );
    const result = await trainer.train();
    expect(result.globalStep).toBe(180);
    expect(events.slice(0, 12)).toEqual([
      "trainBegin",
      "epochBegin",
      ...Array(6).fill("step"),
      "epochEnd",
      "log",
      "log",
      "evaluate",
    ]);
    expect(events.at(-1)).toBe("trainEnd");
    const evaluation = await trainer.evaluate();
    expect(evaluation.eval_accuracy).toBeGreaterThan(0.9);
    const [first] = trainer.state.logHistory;
    expect(Object.keys(first!).sort()).toEqual(["epoch", "grad_norm", "learning_rate", "loss", "step"]);
    expect(first!.loss).toBeGreaterThan(0.6);
    expect(first!.learning_rate).toBeCloseTo((5e-3 * 175) / 180, 8);
  });

  it("makes one submission a step and no new buffer once it is warm", async () => {
    const submissions: number[] = [];
    const created: number[] = [];
    const watch: TrainerCallback = {
      onStepEnd: ({ trainer }) => {
        submissions.push(trainer.device.snapshot().submissions);
        created.push(trainer.device.memory().created);
      },
    };
    const rows = Array.from({ length: 96 }, (_, i) => ({ inputIds: [1, 5 + (i % 9), 6, 2], label: i % 2 }));
    const trainer = new Trainer(
      options(
        "steady",
        { numTrainEpochs: 1 },
        { callbacks: [watch], trainDataset: Dataset.fromList<Example>(rows) },
      ),
    );
    await trainer.train();
    expect(submissions).toHaveLength(12);
    for (let i = 1; i < submissions.length; i++) expect(submissions[i]! - submissions[i - 1]!).toBe(1);
    expect(created.at(-1)).toBe(created[3]);
  });

  it("gives the same weights by accumulation as with the larger batch", async () => {
    const rows = examples(32, 2);
    const run = async (perDeviceTrainBatchSize: number, gradientAccumulationSteps: number) => {
      const name = `accumulate-${perDeviceTrainBatchSize}`;
      const args = {
        numTrainEpochs: 1,
        perDeviceTrainBatchSize,
        gradientAccumulationSteps,
        learningRate: 1e-3,
      };
      const trainer = new Trainer(options(name, args, { trainDataset: rows }));
      await trainer.train();
      return trainer.model.stateDict().get("classifier.weight")!.toArray();
    };
    const whole = await run(16, 1);
    const parts = await run(4, 4);
    whole.forEach((w, i) => {
      expect(parts[i]).toBeCloseTo(w, 5);
    });
  });

  it("goes on from a checkpoint with the same bits, dropout and shuffling on", async () => {
    const losses = (trainer: Trainer) => trainer.state.logHistory.map((entry) => entry.loss);
    const args = {
      maxSteps: 10,
      loggingSteps: 1,
      learningRate: 1e-3,
      saveStrategy: "steps",
      saveSteps: 5,
    } as const;
    const whole = new Trainer(options("whole", args, { model: newModel(0.1) }));
    await whole.train();
    const again = new Trainer(options("again", args, { model: newModel(0.1, 2) }));
    await again.train({ resumeFromCheckpoint: join(folder, "whole", "checkpoint-5") });
    expect(losses(again)).toEqual(losses(whole));
    for (const [name, tensor] of whole.model.stateDict()) {
      expect([...(await again.model.stateDict().get(name)!.toArray())], name).toEqual([
        ...(await tensor.toArray()),
      ]);
    }
  });

  it("stops on request after the step in hand, with a checkpoint", async () => {
    const stop: TrainerCallback = {
      onStepEnd: ({ trainer, state }) => {
        if (state.globalStep === 3) trainer.requestStop();
      },
    };
    const trainer = new Trainer(options("stopped", { numTrainEpochs: 5 }, { callbacks: [stop] }));
    const result = await trainer.train();
    expect(result).toMatchObject({ interrupted: true, globalStep: 3 });
    const saved = readdirSync(join(folder, "stopped", "checkpoint-3")).sort();
    expect(saved).toEqual([
      "config.json",
      "model.safetensors",
      "optimizer.safetensors",
      "run_state.json",
      "trainer_state.json",
      "training_args.json",
    ]);
    const json = JSON.parse(
      readFileSync(join(folder, "stopped", "checkpoint-3", "training_args.json"), "utf8"),
    );
    expect(json.per_device_train_batch_size).toBe(8);
  });

  it("keeps at most saveTotalLimit checkpoints, the best one among them, and loads it at the end", async () => {
    const trainer = new Trainer(
      options("limit", {
        numTrainEpochs: 5,
        learningRate: 2e-3,
        evalStrategy: "epoch",
        saveStrategy: "epoch",
        saveTotalLimit: 2,
        loadBestModelAtEnd: true,
        metricForBestModel: "accuracy",
      }),
    );
    await trainer.train();
    const kept = readdirSync(join(folder, "limit")).filter((name) => name.startsWith("checkpoint-"));
    expect(kept.length).toBeLessThanOrEqual(2);
    expect(kept.map((name) => join(folder, "limit", name))).toContain(trainer.state.bestModelCheckpoint);
    expect((await trainer.evaluate()).eval_accuracy).toBeCloseTo(trainer.state.bestMetric!, 6);
  });

  it("stops early when the metric no longer improves", async () => {
    const trainer = new Trainer(
      options(
        "early",
        { numTrainEpochs: 50, learningRate: 0, evalStrategy: "epoch" },
        { callbacks: [new EarlyStoppingCallback({ earlyStoppingPatience: 2 })] },
      ),
    );
    await trainer.train();
    expect(trainer.state.epoch).toBe(3);
  });

  it("exempts biases and LayerNorm from decay", () => {
    const trainer = new Trainer(options("decay", {}));
    const names = trainer.getDecayParameterNames();
    expect(names).toContain("distilbert.embeddings.word_embeddings.weight");
    expect(names.filter((name) => /bias|layer_norm|LayerNorm/.test(name))).toEqual([]);
  });

  it("says which argument is unknown, out of range or at odds", () => {
    const make = (args: object) => () => new Trainer(options("bad", args));
    expect(make({ learningrate: 1 })).toThrow("Did you mean learningRate?");
    expect(make({ learning_rate: 1 })).toThrow("trainingArgumentsFromJson");
    expect(make({ perDeviceTrainBatchSize: 0 })).toThrow("expected a whole number from 1 on");
    expect(make({ evalStrategy: "never" })).toThrow("one of no, steps, epoch");
    expect(make({ loadBestModelAtEnd: true })).toThrow("the same strategy");
  });

  it("stops with the step numbers when the loss is not finite", async () => {
    const model = newModel();
    model.classifier.bias!.copy_(Float32Array.of(Number.NaN, 0));
    const trainer = new Trainer(options("nan", { loggingSteps: 1 }, { model }));
    await expect(trainer.train()).rejects.toThrow(/the loss is .* between steps/);
  });
});
