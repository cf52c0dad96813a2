// Training a model with an adapter: what a checkpoint holds, and going on from it.
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataset } from "@wgrad/datasets";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { getPeftModel, type PeftModel } from "@wgrad/peft";
import { type Device, manualSeed } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { dataCollatorWithPadding, type Example } from "./data-collator.js";
import { Trainer } from "./trainer.js";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = await mkdtemp(join(tmpdir(), "wgrad-adapter-"));
});
afterAll(async () => {
  device.close();
  await rm(folder, { recursive: true, force: true });
});

const examples: Example[] = Array.from({ length: 16 }, (_, i) => ({
  inputIds: Array.from({ length: 4 + (i % 3) }, (_, t) => 1 + ((i * 7 + t * 3 + (i % 2) * 20) % 40)),
  label: i % 2,
}));

function newModel(): PeftModel<DistilBertForSequenceClassification> {
  manualSeed(device, 5);
  const config = distilBertConfig({
    vocab_size: 48,
    max_position_embeddings: 8,
    dim: 16,
    hidden_dim: 32,
    n_layers: 2,
    n_heads: 2,
  });
  const model = new DistilBertForSequenceClassification(device, config).initAllWeights();
  return getPeftModel(model, {
    r: 2,
    targetModules: ["q_lin", "v_lin"],
    loraDropout: 0.2,
    taskType: "SEQ_CLS",
  });
}

function newTrainer(model: PeftModel<DistilBertForSequenceClassification>, maxSteps: number): Trainer {
  return new Trainer({
    model,
    args: {
      outputDir: folder,
      maxSteps,
      saveSteps: 3,
      learningRate: 1e-2,
      lrSchedulerType: "constant",
      perDeviceTrainBatchSize: 4,
    },
    trainDataset: Dataset.fromList(examples),
    dataCollator: dataCollatorWithPadding({ padTokenId: 0 }),
  });
}

async function weights(
  model: PeftModel<DistilBertForSequenceClassification>,
): Promise<Record<string, number[]>> {
  const out: Record<string, number[]> = {};
  for (const [name, tensor] of model.stateDict())
    out[name] = Array.from((await tensor.toArray()) as Float32Array);
  return out;
}

describe("a model with an adapter in the trainer", () => {
  it("saves the adapter alone, trains nothing else, and goes on from a checkpoint to the same bits", async () => {
    const model = newModel();
    const before = await weights(model);
    const trainer = newTrainer(model, 6);
    await trainer.train();
    const after = await weights(model);
    // PEFT's file and the model have different names for the same parameters.
    const saved = new Set(model.adapterState().values());
    const own = new Set([...model.namedParameters()].filter(([, p]) => saved.has(p)).map(([name]) => name));
    expect(own.size).toBe(saved.size);
    for (const [name, values] of Object.entries(after)) {
      if (own.has(name)) expect(values, name).not.toEqual(before[name]);
      else expect(values, name).toEqual(before[name]);
    }
    expect(trainer.optimizer!.paramGroups.flatMap((group) => group.params).length).toBe(own.size);
    const files = await readdir(join(folder, "checkpoint-3"));
    expect(files.sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "optimizer.safetensors",
      "run_state.json",
      "trainer_state.json",
      "training_args.json",
    ]);

    const again = newModel();
    await newTrainer(again, 6).train({ resumeFromCheckpoint: join(folder, "checkpoint-3") });
    expect(await weights(again)).toEqual(after);
    model.dispose();
    again.dispose();
  });
});
