// Ways to compute the same step: rows one behind the other, captured, recomputed, in half precision.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Dataset } from "@wgrad/datasets";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { getPeftModel } from "@wgrad/peft";
import { type Device, manualSeed } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TrainerCallback } from "./callbacks.js";
import {
  type DataCollator,
  dataCollatorWithFlattening,
  dataCollatorWithPadding,
  type Example,
} from "./data-collator.js";
import type { TrainableModel } from "./model-inputs.js";
import { Trainer, type TrainerOptions } from "./trainer.js";

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "wgrad-modes-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const examples = (count: number): Dataset<Example> =>
  Dataset.fromList<Example>(
    Array.from({ length: count }, (_, i) => ({
      inputIds: Array.from({ length: 3 + ((i * 7) % 9) }, (_, t) => 1 + ((i * 13 + t * 5) % 39)),
      label: (i * 5) % 3 === 0 ? 1 : 0,
    })),
  );

function newModel(dropout: number): DistilBertForSequenceClassification {
  manualSeed(device, 3);
  const config = distilBertConfig({
    vocab_size: 40,
    dim: 32,
    n_heads: 2,
    n_layers: 2,
    hidden_dim: 64,
    max_position_embeddings: 16,
    dropout,
    attention_dropout: dropout,
    seq_classif_dropout: dropout,
  });
  return new DistilBertForSequenceClassification(device, config).initAllWeights();
}

const tokenizer = { padTokenId: 0 };
const flattened = dataCollatorWithFlattening(tokenizer, { padToMultipleOf: 16 });
const padded = dataCollatorWithPadding(tokenizer);

interface Outcome {
  losses: (number | undefined)[];
  gradNorms: (number | undefined)[];
  weights: Map<string, number[]>;
  trainer: Trainer;
}

let runs = 0;
async function train(
  model: TrainableModel,
  args: TrainerOptions["args"],
  dataCollator: DataCollator = flattened,
  resumeFromCheckpoint?: string,
  callbacks: TrainerCallback[] = [],
): Promise<Outcome> {
  const trainer = new Trainer({
    model,
    dataCollator,
    callbacks,
    trainDataset: examples(50),
    args: {
      outputDir: join(folder, `run-${runs++}`),
      perDeviceTrainBatchSize: 8,
      learningRate: 2e-3,
      loggingSteps: 1,
      saveStrategy: "no",
      maxSteps: 12,
      ...args,
    },
  });
  await trainer.train(resumeFromCheckpoint ? { resumeFromCheckpoint } : {});
  const weights = new Map<string, number[]>();
  for (const [name, tensor] of model.stateDict())
    weights.set(name, Array.from((await tensor.toArray()) as Float32Array));
  const logs = trainer.state.logHistory.filter((entry) => entry.loss !== undefined);
  return {
    losses: logs.map((entry) => entry.loss),
    gradNorms: logs.map((entry) => entry.grad_norm),
    weights,
    trainer,
  };
}

function expectClose(
  got: readonly (number | undefined)[],
  want: readonly (number | undefined)[],
  by: number,
) {
  expect(got.length).toBe(want.length);
  want.forEach((w, i) => {
    expect(Math.abs(got[i]! - w!), `step ${i + 1}: ${got[i]} for ${w}`).toBeLessThan(by);
  });
}

describe("a step on rows one behind the other", () => {
  it("has the loss and the norm of the gradients of a step on padded rows", async () => {
    const want = await train(newModel(0), {}, padded);
    const got = await train(newModel(0), {}, flattened);
    expectClose(got.losses, want.losses, 1e-5);
    expectClose(got.gradNorms, want.gradNorms, 1e-4);
  });
});

describe("a captured step", () => {
  it("gives the bits of an eager one over 50 steps with dropout, warm-up, clipping and accumulation", async () => {
    const args = {
      maxSteps: 50,
      warmupSteps: 10,
      maxGradNorm: 0.5,
      gradientAccumulationSteps: 2,
      weightDecay: 0.01,
    };
    const eager = await train(newModel(0.1), { ...args, capture: false });
    const captured = await train(newModel(0.1), { ...args, capture: true });
    expect(captured.losses).toEqual(eager.losses);
    expect(captured.gradNorms).toEqual(eager.gradNorms);
    for (const [name, values] of eager.weights) expect(captured.weights.get(name), name).toEqual(values);
  });

  it("gives the bits of an eager one with an adapter", async () => {
    const adapted = () =>
      getPeftModel(newModel(0.1), {
        r: 4,
        targetModules: ["q_lin", "v_lin"],
        loraDropout: 0.1,
        taskType: "SEQ_CLS",
      });
    const eager = await train(adapted(), { capture: false });
    const captured = await train(adapted(), { capture: true });
    expect(captured.losses).toEqual(eager.losses);
    for (const [name, values] of eager.weights) expect(captured.weights.get(name), name).toEqual(values);
  });
});

describe("a step whose gradients are looked at", () => {
  it("has them before and after the update, and the bits of one that is replayed", async () => {
    const args = { maxSteps: 8, gradientAccumulationSteps: 2, maxGradNorm: 0.5 };
    const want = await train(newModel(0.1), args);
    const norms: number[] = [];
    const events: string[] = [];
    const watch: TrainerCallback = {
      onStepBegin: ({ state, control }) => {
        control.shouldObserveGradients = state.globalStep % 3 === 1;
      },
      onPreOptimizerStep: async ({ trainer }) => {
        let sum = 0;
        for (const p of trainer.model.parameters())
          if (p.grad) for (const g of (await p.grad.toArray()) as Float32Array) sum += g * g;
        norms.push(Math.sqrt(sum));
        events.push("pre");
      },
      onOptimizerStep: ({ trainer }) => {
        events.push([...trainer.model.parameters()].some((p) => p.grad) ? "after, seen" : "after");
      },
      onSubstepEnd: () => void events.push("part"),
    };
    const got = await train(newModel(0.1), args, flattened, undefined, [watch]);
    expect(events.slice(0, 6)).toEqual(["part", "pre", "after", "part", "pre", "after, seen"]);
    expectClose([norms[1]], [want.gradNorms[1]], 1e-5);
    expect(got.losses).toEqual(want.losses);
    for (const [name, values] of want.weights) expect(got.weights.get(name), name).toEqual(values);
  });
});

describe("gradient checkpointing", () => {
  it("gives the bits of a step that keeps everything, dropout on", async () => {
    const want = await train(newModel(0.1), {});
    const got = await train(newModel(0.1), { gradientCheckpointing: true });
    expect(got.losses).toEqual(want.losses);
    for (const [name, values] of want.weights) expect(got.weights.get(name), name).toEqual(values);
  });
});

describe("half precision", () => {
  it("follows f32, and goes on from a checkpoint with the same bits", async (context) => {
    if (!device.features.has("shader-f16")) context.skip("the adapter has no shader-f16");
    const args = { maxSteps: 12, saveStrategy: "steps", saveSteps: 6 } as const;
    const want = await train(newModel(0), args);
    const got = await train(newModel(0), { ...args, fp16: true });
    expectClose(got.losses, want.losses, 5e-3);
    const last = got.trainer.state.logHistory.findLast((entry) => entry.loss !== undefined)!;
    expect(last.loss_scale).toBeGreaterThan(0);
    expect(last.skipped_steps).toBeLessThan(12);
    const again = await train(
      newModel(0),
      { ...args, fp16: true },
      flattened,
      join(got.trainer.args.outputDir, "checkpoint-6"),
    );
    expect(again.losses).toEqual(got.losses);
    for (const [name, values] of got.weights) expect(again.weights.get(name), name).toEqual(values);
  });

  it("counts the steps it skips", async (context) => {
    if (!device.features.has("shader-f16")) context.skip("the adapter has no shader-f16");
    const model = newModel(0);
    // A classifier whose gradients overflow at the first scale, and no longer at smaller ones.
    model.pre_classifier.weight.copy_(
      Float32Array.from({ length: 32 * 32 }, (_, i) => (i % 33 === 0 ? 30 : 0)),
    );
    const { trainer } = await train(model, { fp16: true, maxSteps: 8 });
    const last = trainer.state.logHistory.findLast((entry) => entry.loss !== undefined)!;
    expect(last.skipped_steps).toBeGreaterThan(0);
    expect(last.loss_scale).toBe(65536 / 2 ** last.skipped_steps!);
  });
});
