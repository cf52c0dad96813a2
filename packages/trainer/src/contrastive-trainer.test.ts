import { CLIPModel, clipConfig, clipLoss } from "@wgrad/models";
import { fromConfig } from "@wgrad/models/node";
import { getPeftModel } from "@wgrad/peft";
import { type Device, manualSeed, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { ContrastiveTrainer, contrastiveLoss } from "./contrastive-trainer.js";
import {
  dataCollatorForClassPrompts,
  dataCollatorForImageClassification,
  dataCollatorForImageText,
  type PictureLoader,
} from "./image-collator.js";
import { classificationMetrics } from "./metrics.js";

const size = 8;
const end = 9;
const prompts = [
  [8, 1, 2, end],
  [8, 1, 3, end],
  [8, 4, end, end],
];

/** Shades by class; a row whose picture is null cannot be read. */
const rows = Array.from({ length: 24 }, (_, i) => ({
  image: i === 7 ? null : [-1, 0, 1][i % 3]! + (i % 5) / 20,
  label: i % 3,
}));
const dataset = {
  numRows: rows.length,
  at: (i: number) => rows[i]!,
  rows: (indices: number[]) => indices.map((i) => rows[i]!),
};

const loader: PictureLoader = {
  async load(images) {
    const area = 3 * size * size;
    const pixelValues = new Float32Array(images.length * area);
    const shades = images as unknown as readonly (number | null)[];
    for (const [i, shade] of shades.entries()) pixelValues.fill(shade ?? 0, i * area, (i + 1) * area);
    return { pixelValues, shape: [images.length, 3, size, size], ok: shades.map((shade) => shade !== null) };
  },
};

const tower = { hidden_size: 16, intermediate_size: 32, num_hidden_layers: 1, num_attention_heads: 2 };
const config = (logitScale: number) =>
  clipConfig({
    projection_dim: 8,
    logit_scale_init_value: logitScale,
    text_config: { ...tower, vocab_size: 10, max_position_embeddings: 8, eos_token_id: end },
    vision_config: { ...tower, image_size: size, patch_size: 4 },
  });

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const context = { indices: [6, 7, 8], epoch: 0, training: true };

describe("collators of pictures", () => {
  it("give a picture that could not be read the label that is left out", async () => {
    const batch = await dataCollatorForImageClassification(loader, { tokensPerImage: 5 })(
      dataset.rows([6, 7, 8]),
      context,
    );
    expect([...batch.labels!]).toEqual([0, -100, 2]);
    expect(batch.inputs.pixelValues!.shape).toEqual([3, 3, size, size]);
    expect(batch).toMatchObject({ batchSize: 3, numTokens: 15 });
    const plain = await dataCollatorForImageClassification(loader)([{ image: 1 }]);
    expect(plain.labels).toBeUndefined();
  });

  it("put the prompts of all classes beside them, or each picture's own", async () => {
    const all = await dataCollatorForClassPrompts(loader, { prompts })(dataset.rows([6, 7, 8]), context);
    expect(all.inputs.inputIds!.shape).toEqual([3, 4]);
    expect([...all.inputs.inputIds!.data]).toEqual(prompts.flat());
    const collate = dataCollatorForImageText(loader, { prompts });
    const own = await collate(dataset.rows([8, 11, 7]), { ...context, indices: [8, 11, 7] });
    expect([...own.inputs.pairs!.data]).toEqual([2, 2, -100]);
    expect([...own.inputs.inputIds!.data].slice(0, 8)).toEqual([...prompts[2]!, ...prompts[2]!]);
    const evaluated = await collate(dataset.rows([8]), { indices: [8], epoch: 0, training: false });
    expect(evaluated.inputs.inputIds!.shape).toEqual([3, 4]);
    expect(evaluated.inputs.pairs).toBeUndefined();
    expect(() => dataCollatorForClassPrompts(loader, { prompts: [[1, 2], [1]] })).toThrow(
      "prompt 1 has 1 tokens",
    );
  });
});

describe("contrastiveLoss", () => {
  const logits = Array.from({ length: 25 }, (_, i) => Math.sin(i * 1.7) * 3);
  const loss = async (ids: number[]) => {
    const [x, y] = [
      Tensor.from(device, Float32Array.from(logits), [5, 5]),
      Tensor.from(device, Int32Array.from(ids), [5]),
    ];
    return { own: await contrastiveLoss(x, y).item(), plain: await clipLoss(x).item() };
  };

  /** The same in plain loops: the mean over those that count, in both directions. */
  const reference = (ids: number[]) => {
    const counted = ids.flatMap((id, i) => (id === -100 ? [] : [i]));
    const at = (i: number, j: number, turned: boolean) => logits[turned ? j * 5 + i : i * 5 + j]!;
    let sum = 0;
    for (const turned of [false, true]) {
      for (const i of counted) {
        const total = Math.log(counted.reduce((acc, j) => acc + Math.exp(at(i, j, turned)), 0));
        const alike = counted.filter((j) => ids[j] === ids[i]);
        for (const j of alike) sum -= (at(i, j, turned) - total) / alike.length;
      }
    }
    return sum / 2 / counted.length;
  };

  it("is CLIP's where all pairs differ", async () => {
    const { own, plain } = await loss([4, 0, 3, 1, 2]);
    expect(own).toBeCloseTo(plain, 5);
  });

  it.each([[[1, 0, 1, 2, 1]], [[0, -100, 0, 2, -100]], [[3, 3, 3, 3, 3]]])(
    "shares the target among those alike and leaves -100 out: %j",
    async (ids) => {
      expect((await loss(ids)).own).toBeCloseTo(reference(ids), 4);
    },
  );
});

describe("ContrastiveTrainer", () => {
  const args = {
    numTrainEpochs: 8,
    perDeviceTrainBatchSize: 8,
    perDeviceEvalBatchSize: 5,
    learningRate: 1e-2,
    dataloaderNumWorkers: 1,
    saveStrategy: "no" as const,
    loggingStrategy: "no" as const,
  };

  it.each([
    ["over the prompts of all classes", dataCollatorForClassPrompts],
    ["within the batch", dataCollatorForImageText],
  ])("learns %s", async (_, collator) => {
    manualSeed(device, 0);
    const model = fromConfig(CLIPModel, device, config(2));
    const trainer = new ContrastiveTrainer({
      model,
      args,
      trainDataset: dataset,
      evalDataset: dataset,
      dataCollator: collator(loader, { prompts }),
      computeMetrics: classificationMetrics,
    });
    const before = await trainer.evaluate();
    await trainer.train();
    const after = await trainer.evaluate();
    expect(after.eval_loss).toBeLessThan(0.7 * before.eval_loss!);
    expect(after.eval_accuracy).toBeGreaterThan(0.6);
    model.dispose();
  });

  it("holds the logit scale at ln(100) at most, within the step", async () => {
    const model = fromConfig(CLIPModel, device, config(4.7));
    const trainer = new ContrastiveTrainer({
      model,
      args: { ...args, maxSteps: 3, learningRate: 1e-4 },
      trainDataset: dataset,
      dataCollator: dataCollatorForClassPrompts(loader, { prompts }),
    });
    await trainer.train();
    const scale = await model.logit_scale.item();
    expect(scale).toBeLessThanOrEqual(Math.fround(Math.log(100)));
    expect(scale).toBeGreaterThan(4.6);
    model.dispose();
  });

  it("trains an adapter, the logit scale frozen", async () => {
    manualSeed(device, 0);
    const base = fromConfig(CLIPModel, device, config(2));
    const trainer = new ContrastiveTrainer({
      model: getPeftModel(base, { r: 2, targetModules: ["q_proj", "v_proj"] }),
      args: { ...args, numTrainEpochs: 2 },
      trainDataset: dataset,
      evalDataset: dataset,
      dataCollator: dataCollatorForImageText(loader, { prompts }),
    });
    const before = await trainer.evaluate();
    await trainer.train();
    expect((await trainer.evaluate()).eval_loss).toBeLessThan(before.eval_loss!);
    expect(await base.logit_scale.item()).toBe(2);
    trainer.model.dispose();
  });
});
