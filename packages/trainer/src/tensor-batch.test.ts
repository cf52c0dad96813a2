import { CLIPForClassification, clipConfig } from "@wgrad/models";
import { fromConfig } from "@wgrad/models/node";
import { type Device, manualSeed } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { CollateContext, TensorBatch } from "./data-collator.js";
import { classificationMetrics } from "./metrics.js";
import type { ModelInputs } from "./model-inputs.js";
import { Trainer } from "./trainer.js";

const size = 8;

interface Picture {
  shade: number;
  label: number;
}

/** Dark pictures are class 0, bright ones class 1. */
const pictures: Picture[] = Array.from({ length: 24 }, (_, i) => ({
  shade: (i % 2 === 0 ? -1 : 1) * (0.5 + (i % 5) / 10),
  label: i % 2,
}));
const dataset = {
  numRows: pictures.length,
  at: (i: number) => pictures[i]!,
  rows: (indices: number[]) => indices.map((i) => pictures[i]!),
};

/** An async collator, as one that decodes is. */
async function collate(examples: readonly Picture[], context?: CollateContext): Promise<TensorBatch> {
  await new Promise((resolve) => setTimeout(resolve, 1 + (context!.indices[0]! % 3)));
  const data = new Float32Array(examples.length * 3 * size * size);
  examples.forEach(({ shade }, i) => {
    data.fill(shade, i * 3 * size * size, (i + 1) * 3 * size * size);
  });
  return {
    inputs: { pixelValues: { data, shape: [examples.length, 3, size, size] } },
    labels: Int32Array.from(examples, ({ label }) => label),
    batchSize: examples.length,
    numTokens: examples.length * 5,
  };
}

const config = clipConfig(
  {
    vision_config: {
      hidden_size: 16,
      intermediate_size: 32,
      num_hidden_layers: 1,
      num_attention_heads: 2,
      image_size: size,
      patch_size: 4,
    },
  },
  ["dark", "bright"],
);

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

describe("a model of pictures", () => {
  it("is trained, evaluated and predicted with as one of texts is", async () => {
    manualSeed(device, 0);
    const trainer = new Trainer({
      model: fromConfig(CLIPForClassification, device, config),
      args: {
        numTrainEpochs: 6,
        perDeviceTrainBatchSize: 6,
        perDeviceEvalBatchSize: 5,
        learningRate: 1e-2,
        dataloaderNumWorkers: 2,
        includeNumInputTokensSeen: "all",
        saveStrategy: "no",
        loggingStrategy: "no",
      },
      trainDataset: dataset,
      evalDataset: dataset,
      dataCollator: collate,
      computeMetrics: classificationMetrics,
    });
    const before = await trainer.evaluate();
    await trainer.train();
    const after = await trainer.evaluate();
    expect(after.eval_loss).toBeLessThan(before.eval_loss! / 4);
    expect(after.eval_accuracy).toBe(1);
    expect(trainer.state.numInputTokensSeen).toBe(6 * 24 * 5);
    const { predictionsShape, labelIds } = await trainer.predict(dataset);
    expect(predictionsShape).toEqual([24, 2]);
    expect([...labelIds!]).toEqual(pictures.map(({ label }) => label));
    trainer.model.dispose();
  });

  it("whose pictures could not be read is left out where its label is -100", async () => {
    manualSeed(device, 0);
    let broken = 4;
    const trainer = new Trainer({
      model: fromConfig(CLIPForClassification, device, config),
      args: { perDeviceEvalBatchSize: 8 },
      dataCollator: async (examples: readonly Picture[], context?: CollateContext) => {
        const batch = await collate(examples, context);
        const labels = Int32Array.from(batch.labels!, (label, i) =>
          context!.indices[i]! < broken ? -100 : label,
        );
        return { ...batch, labels };
      },
      evalDataset: dataset,
      computeMetrics: classificationMetrics,
    });
    const some = await trainer.evaluate();
    broken = 0;
    const rest = await trainer.evaluate({
      numRows: 20,
      at: (i) => dataset.at(i + 4),
      rows: (indices) => dataset.rows(indices.map((i) => i + 4)),
    });
    for (const name of ["eval_loss", "eval_accuracy", "eval_f1"])
      expect(some[name]).toBeCloseTo(rest[name]!, 6);
    trainer.model.dispose();
  });

  it("without a loss of its own says that a subclass is needed", async () => {
    const options = {
      model: fromConfig(CLIPForClassification, device, config),
      args: { saveStrategy: "no" as const, maxSteps: 1, loggingStrategy: "no" as const },
      trainDataset: dataset,
      dataCollator: async (examples: readonly Picture[], context?: CollateContext) => {
        const { labels: _none, ...batch } = await collate(examples, context);
        return batch;
      },
    };
    await expect(new Trainer(options).train()).rejects.toThrow("the model gave no loss");
    class Own extends Trainer {
      override computeLoss(inputs: ModelInputs) {
        const { logits } = this.model.forward(inputs);
        return { loss: logits.square().mean(), logits };
      }
    }
    const { trainingLoss } = await new Own(options).train();
    expect(trainingLoss).toBeGreaterThan(0);
    options.model.dispose();
  });
});
