import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  autocast,
  type Device,
  manualSeed,
  noGrad,
  scope,
  skipInit,
  Tensor,
  toFloat32,
  toInt32,
} from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoModel, AutoModelForImageClassification, fromPretrained, savePretrained } from "../auto.js";
import { openSafetensors } from "../files.js";
import { CLIPForClassification, CLIPForImageClassification } from "./classification.js";
import { clipConfig } from "./config.js";
import { CLIPModel } from "./model.js";
import { CLIPTextModel, CLIPTextModelWithProjection } from "./text.js";
import { CLIPVisionModel, CLIPVisionModelWithProjection } from "./vision.js";

const fixtures = join(process.env.WGRAD_SHARED!, "fixtures/models");

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "wgrad-clip-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const EOS = 20;

/** A model of two towers of different widths; `extra` of the text tower. */
const tiny = (text: Record<string, unknown> = {}, whole: Record<string, unknown> = {}) =>
  clipConfig({
    model_type: "clip",
    projection_dim: 6,
    text_config: {
      vocab_size: 40,
      hidden_size: 8,
      intermediate_size: 16,
      num_hidden_layers: 2,
      num_attention_heads: 2,
      max_position_embeddings: 10,
      eos_token_id: EOS,
      projection_dim: 6,
      ...text,
    },
    vision_config: {
      hidden_size: 12,
      intermediate_size: 24,
      num_hidden_layers: 3,
      num_attention_heads: 3,
      image_size: 8,
      patch_size: 4,
      projection_dim: 6,
    },
    ...whole,
  });

const made = (config = tiny()) => {
  manualSeed(device, 5);
  return new CLIPModel(device, config).initAllWeights();
};

const ids = (...rows: number[][]) =>
  Tensor.from(device, Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);

/** Pictures of numbers around 0 that are the same in every run. */
const pictures = (count: number) =>
  Tensor.from(
    device,
    Float32Array.from({ length: count * 3 * 64 }, (_, i) => Math.sin(1 + i * 1.7)),
    [count, 3, 8, 8],
  );

const values = async (tensor: Tensor) => [...((await tensor.toArray()) as Float32Array)];

function expectNear(got: readonly number[], want: readonly number[], within = 1e-5): void {
  expect(got.length).toBe(want.length);
  for (const [i, value] of got.entries()) expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(within);
}

describe("parameter counts of ViT-B/16", () => {
  const config = clipConfig({ vision_config: { patch_size: 16 } });

  it.each([
    ["both towers", CLIPModel, 149_620_737],
    ["text tower", CLIPTextModel, 63_165_952],
    ["vision tower", CLIPVisionModel, 85_799_424],
    ["vision tower with a classifier of 200", CLIPForClassification, 85_799_424 + 768 * 200 + 200],
  ] as const)("%s", (_, modelClass, count) => {
    const labels = Array.from({ length: 200 }, (_, i) => `n${i}`);
    const whole = modelClass === CLIPForClassification ? clipConfig(config.json, labels) : config;
    const model = skipInit(() => new modelClass(device, whole));
    expect(model.numParameters()).toBe(count);
    model.dispose();
    device.emptyCache();
  });
});

describe("new weights", () => {
  /** Standard deviation and mean of a parameter. */
  async function spread(parameter: Tensor): Promise<[number, number]> {
    const all = await values(parameter);
    const mean = all.reduce((a, b) => a + b, 0) / all.length;
    return [Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length), mean];
  }

  it("have the deviations of transformers' _init_weights", async () => {
    const tower = { hidden_size: 64, intermediate_size: 128, num_attention_heads: 4 };
    const json = {
      projection_dim: 48,
      initializer_factor: 2,
      text_config: {
        ...tower,
        vocab_size: 100,
        num_hidden_layers: 2,
        max_position_embeddings: 40,
        initializer_factor: 2,
      },
      vision_config: {
        ...tower,
        num_hidden_layers: 8,
        image_size: 32,
        patch_size: 8,
        initializer_range: 0.03,
        initializer_factor: 2,
      },
    };
    const model = made(clipConfig(json));
    const width = 64 ** -0.5;
    const want: Record<string, number> = {
      "text_model.embeddings.token_embedding.weight": 0.04,
      "text_model.embeddings.position_embedding.weight": 0.04,
      "text_model.encoder.layers.1.self_attn.q_proj.weight": 2 * width * 4 ** -0.5,
      "text_model.encoder.layers.1.self_attn.out_proj.weight": 2 * width,
      "text_model.encoder.layers.0.mlp.fc1.weight": 2 * 128 ** -0.5,
      "text_model.encoder.layers.0.mlp.fc2.weight": 2 * width * 4 ** -0.5,
      "vision_model.embeddings.class_embedding": 2 * width,
      "vision_model.embeddings.patch_embedding.weight": 0.06,
      "vision_model.embeddings.position_embedding.weight": 0.06,
      "vision_model.encoder.layers.7.self_attn.k_proj.weight": 2 * width * 16 ** -0.5,
      "vision_model.encoder.layers.7.self_attn.v_proj.weight": 2 * width * 16 ** -0.5,
      "vision_model.encoder.layers.7.mlp.fc2.weight": 2 * width * 16 ** -0.5,
      "text_projection.weight": 2 * width,
      "visual_projection.weight": 2 * width,
    };
    for (const [name, parameter] of model.namedParameters()) {
      const expected = want[name];
      if (expected !== undefined) {
        const [deviation, mean] = await spread(parameter);
        const error = 5 / Math.sqrt(2 * parameter.numel);
        expect(Math.abs(deviation / expected - 1), name).toBeLessThan(error);
        expect(Math.abs(mean), name).toBeLessThan((5 * expected) / Math.sqrt(parameter.numel));
      } else if (/norm\d?\.weight$/.test(name)) {
        expect(await spread(parameter), name).toEqual([0, 1]);
      } else if (name.endsWith(".bias")) {
        expect(await spread(parameter), name).toEqual([0, 0]);
      }
    }
    expect(await model.logit_scale.item()).toBeCloseTo(2.6592, 6);
    const head = new CLIPForImageClassification(device, clipConfig(json)).initAllWeights();
    const [deviation] = await spread(head.classifier.weight);
    expect(Math.abs(deviation / (2 * width) - 1)).toBeLessThan(5 / Math.sqrt(256));
    model.dispose();
    head.dispose();
  });
});

describe("pooling of texts", () => {
  const rows = [
    [1, 30, EOS, 39, 2, 0],
    [1, 5, 7, 9, EOS, EOS],
  ];

  it.each([
    ["at the first end-of-text token, where higher ids stand elsewhere", EOS, [2, 4]],
    ["at the highest id, where an old config says 2", 2, [3, 4]],
  ])("%s", async (_, eos, places) => {
    const model = made(tiny({ eos_token_id: eos })).text_model;
    const { lastHiddenState, poolerOutput } = noGrad(() =>
      scope(() => model.forward({ inputIds: ids(...rows) })),
    );
    const states = await values(lastHiddenState);
    const want = places.flatMap((place, row) =>
      states.slice((row * 6 + place) * 8, (row * 6 + place + 1) * 8),
    );
    expect(await values(poolerOutput)).toEqual(want);
    model.dispose();
  });

  it("does not see padding behind the end, with a mask or without", async () => {
    const model = made();
    const features = async (inputIds: Tensor, attentionMask: Tensor | null = null) =>
      values(noGrad(() => model.getTextFeatures({ inputIds, attentionMask })));
    const alone = await features(ids([1, 5, 7, EOS]));
    expectNear(await features(ids([1, 5, 7, EOS, 3, 3, 3])), alone, 1e-6);
    expectNear(await features(ids([1, 5, 7, EOS, 3, 3, 3]), ids([1, 1, 1, 1, 0, 0, 0])), alone, 1e-6);
    model.dispose();
  });
});

describe("the model", () => {
  it("gives cosines times exp(logit_scale), of features that it also gives alone", async () => {
    const model = made();
    const [inputIds, pixelValues] = [ids([1, 5, EOS], [1, 9, EOS]), pictures(3)];
    const out = noGrad(() => scope(() => model.forward({ inputIds, pixelValues })));
    expect(out.loss).toBeUndefined();
    expect(out.logitsPerImage.shape).toEqual([3, 2]);
    expect(out.logitsPerText.shape).toEqual([2, 3]);
    const unit = async (features: Tensor) => {
      const [flat, width] = [await values(features), features.size(-1)];
      return Array.from({ length: flat.length / width }, (_, row) => {
        const vector = flat.slice(row * width, (row + 1) * width);
        const norm = Math.hypot(...vector);
        return vector.map((value) => value / norm);
      });
    };
    const images = await unit(noGrad(() => model.getImageFeatures({ pixelValues })));
    const texts = await unit(noGrad(() => model.getTextFeatures({ inputIds })));
    expectNear(await values(out.imageEmbeds), images.flat());
    const scale = Math.exp(2.6592);
    const cosine = (a: number[], b: number[]) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
    const want = images.flatMap((image) => texts.map((text) => scale * cosine(image, text)));
    expectNear(await values(out.logitsPerImage), want, 1e-4);
    model.dispose();
  });

  it("has towers with projections of the same numbers", async () => {
    const whole = made();
    const path = join(folder, "whole");
    await savePretrained(whole, path);
    const [inputIds, pixelValues] = [ids([1, 5, EOS]), pictures(2)];
    const text = await fromPretrained(CLIPTextModelWithProjection, device, path);
    const vision = await fromPretrained(CLIPVisionModelWithProjection, device, path);
    expect([text.info.missingKeys, vision.info.missingKeys]).toEqual([[], []]);
    const one = noGrad(() => [
      text.model.forward({ inputIds }).textEmbeds,
      whole.getTextFeatures({ inputIds }),
    ]);
    expect(await values(one[0]!)).toEqual(await values(one[1]!));
    const two = noGrad(() => [
      vision.model.forward({ pixelValues }).imageEmbeds,
      whole.getImageFeatures({ pixelValues }),
    ]);
    expect(await values(two[0]!)).toEqual(await values(two[1]!));
    for (const model of [whole, text.model, vision.model]) model.dispose();
  });

  it("classifies by the pooled output, or by the mean of the patches as transformers does", async () => {
    const config = clipConfig(tiny().json, ["a", "b", "c"]);
    const pixelValues = pictures(2);
    for (const modelClass of [CLIPForClassification, CLIPForImageClassification]) {
      manualSeed(device, 5);
      const model = new modelClass(device, config).initAllWeights();
      const { logits, pooled } = noGrad(() =>
        scope(() => {
          const tower = model.vision_model.forward({ pixelValues });
          const patches = tower.lastHiddenState.narrow(1, 1, 4).mean(1);
          const pooled = modelClass === CLIPForClassification ? tower.poolerOutput : patches;
          return { logits: model.forward({ pixelValues }).logits, pooled: model.classifier.forward(pooled) };
        }),
      );
      expect(logits.shape).toEqual([2, 3]);
      expectNear(await values(logits), await values(pooled), 1e-6);
      const labels = Tensor.from(device, Int32Array.of(0, 2), [2]);
      scope(() => model.forward({ pixelValues, labels }).loss!.backward());
      const { grad } = model.vision_model.post_layernorm.weight;
      expect(grad === null).toBe(modelClass === CLIPForImageClassification);
      model.zeroGrad();
      model.dispose();
    }
  });

  it("keeps logit_scale at ln(100) at most", async () => {
    const model = made();
    model.clampLogitScale();
    expect(await model.logit_scale.item()).toBeCloseTo(2.6592, 6);
    noGrad(() => model.logit_scale.fill_(5));
    model.clampLogitScale();
    expect(await model.logit_scale.item()).toBeCloseTo(Math.log(100), 6);
    expect(model.logit_scale.requiresGrad).toBe(true);
    model.dispose();
  });

  it("has the same gradients with activations computed again", async () => {
    const model = made().train();
    const input = {
      inputIds: ids([1, 5, EOS, 3], [1, 9, 4, EOS]),
      attentionMask: ids([1, 1, 1, 0], [1, 1, 1, 1]),
      pixelValues: pictures(2),
      returnLoss: true,
    };
    const gradients = async () => {
      scope(() => model.forward(input).loss!.backward());
      const found: number[] = [];
      for (const [, parameter] of model.namedParameters()) found.push(...(await values(parameter.grad!)));
      model.zeroGrad();
      return found;
    };
    const kept = await gradients();
    model.gradientCheckpointingEnable();
    expect(await gradients()).toEqual(kept);
    model.dispose();
  });

  it("computes in half precision inside autocast, where the adapter can", async () => {
    if (!device.features.has("shader-f16")) return;
    const model = made();
    const input = { inputIds: ids([1, 5, EOS], [1, 9, EOS]), pixelValues: pictures(2), returnLoss: true };
    const full = noGrad(() => scope(() => model.forward(input)));
    const half = scope(() => autocast("f16", () => model.forward(input)));
    expect(half.visionModelOutput.lastHiddenState.dtype).toBe("f16");
    expect(half.textModelOutput.lastHiddenState.dtype).toBe("f16");
    expect(half.loss!.dtype).toBe("f32");
    expectNear([await half.loss!.item()], [await full.loss!.item()], 0.02);
    half.loss!.backward();
    for (const [name, parameter] of model.namedParameters()) expect(parameter.grad?.dtype, name).toBe("f32");
    model.zeroGrad();
    model.dispose();
  });
});

describe("config.json", () => {
  it("comes back as it went, with keys of others kept and old copies of the towers taken in", async () => {
    const config = tiny(
      {},
      {
        torchscript: false,
        vision_config_dict: { hidden_size: 24, num_attention_heads: 4, image_size: 8, patch_size: 4 },
      },
    );
    expect(config.visionConfig.hiddenSize).toBe(24);
    const model = skipInit(() => new CLIPModel(device, config));
    const json = model.configJson();
    expect(json).toMatchObject({
      model_type: "clip",
      architectures: ["CLIPModel"],
      projection_dim: 6,
      torchscript: false,
      text_config: { eos_token_id: EOS, hidden_size: 8, hidden_act: "quick_gelu" },
      vision_config: { hidden_size: 24, patch_size: 4 },
    });
    expect(json).not.toHaveProperty("vision_config_dict");
    const again = clipConfig(json);
    expect({ ...again, json: null }).toEqual({ ...config, json: null });
    model.dispose();
  });

  it("of a tower alone says so, and the tower loads again", async () => {
    const model = new CLIPTextModel(device, tiny()).initAllWeights();
    const path = join(folder, "text");
    await savePretrained(model, path);
    const json = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    expect(json).toMatchObject({
      model_type: "clip_text_model",
      architectures: ["CLIPTextModel"],
      hidden_size: 8,
    });
    const { model: again, info } = await AutoModel.fromPretrained(device, path);
    expect(again).toBeInstanceOf(CLIPTextModel);
    expect(info).toEqual({ missingKeys: [], unexpectedKeys: [] });
    model.dispose();
    again.dispose();
  });

  it("of a classifier keeps the labels, and a new head is told of", async () => {
    const path = join(folder, "whole-for-head");
    const whole = made();
    await savePretrained(whole, path);
    const warnings: string[] = [];
    const { model } = await AutoModelForImageClassification.fromPretrained(device, path, {
      labels: ["cat", "dog"],
      onWarning: (message) => warnings.push(message),
    });
    expect(warnings[0]).toContain("newly initialized: ['classifier.bias', 'classifier.weight']");
    expect(model.configJson()).toMatchObject({
      id2label: { 0: "cat", 1: "dog" },
      architectures: ["CLIPForImageClassification"],
    });
    whole.dispose();
    model.dispose();
  });
});

describe("what cannot be run says why", () => {
  it("inputs that do not fit", () => {
    const model = made();
    const texts = ids([1, EOS]);
    expect(() => model.getTextFeatures({ inputIds: ids(new Array(11).fill(1)) })).toThrow(
      "a text of 11 tokens is longer than the 10 positions of this model",
    );
    const large = Tensor.zeros(device, [1, 3, 16, 16]);
    expect(() => model.getImageFeatures({ pixelValues: large })).toThrow(
      "pixelValues is [1, 3, 16, 16], but this model takes [B, 3, 8, 8]",
    );
    expect(() => model.forward({ inputIds: texts, pixelValues: pictures(2), returnLoss: true })).toThrow(
      "a text for each picture: inputIds is [1, 2], pixelValues [2, 3, 8, 8]",
    );
    model.dispose();
  });

  it("settings out of range, with the tower they are of", () => {
    expect(() => tiny({ num_attention_heads: 3 })).toThrow(
      "text_config.hidden_size 8 is not a multiple of num_attention_heads 3",
    );
    expect(() => clipConfig({ vision_config: { patch_size: 15 } })).toThrow(
      "vision_config.image_size 224 is not a multiple of patch_size 15",
    );
    expect(() => tiny({ hidden_act: "swish" })).toThrow(
      'text_config.hidden_act "swish" is not one of quick_gelu, gelu, relu',
    );
  });
});

describe.skipIf(!existsSync(fixtures))("against Hugging Face (needs WGRAD_SHARED)", () => {
  it.each(["clip-tiny", "clip-tiny-eos"])("%s: outputs and every gradient", async (name) => {
    const path = join(fixtures, name);
    const { tol } = JSON.parse(readFileSync(join(path, "io.json"), "utf8"));
    await using io = await openSafetensors(join(path, "io.safetensors"));
    const check = async (got: Tensor, key: string) => {
      const want = toFloat32(await io.read(key));
      const found = await values(got);
      const { atol, rtol } = tol[key];
      const over = want.findIndex((w, i) => !(Math.abs(found[i]! - w) <= atol + rtol * Math.abs(w)));
      expect(over < 0 ? "" : `${key}[${over}]: ${found[over]} for ${want[over]}`).toBe("");
    };
    const [inputIds, attentionMask] = await Promise.all(
      ["in.input_ids", "in.attention_mask"].map(async (key) => {
        const view = await io.read(key);
        return Tensor.from(device, toInt32(view), view.shape);
      }),
    );
    const pixels = await io.read("in.pixel_values");
    const pixelValues = Tensor.from(device, toFloat32(pixels), pixels.shape);
    const { model } = await fromPretrained(CLIPModel, device, path);
    const out = scope(() => {
      const given = { inputIds: inputIds!, attentionMask: attentionMask!, pixelValues };
      const result = model.forward({ ...given, returnLoss: true, outputHiddenStates: true });
      result.loss!.backward();
      return result;
    });
    await check(out.loss!, "out.loss");
    await check(out.logitsPerImage, "out.logits_per_image");
    for (const tower of ["text", "vision"] as const) {
      const { lastHiddenState, poolerOutput, hiddenStates } = out[`${tower}ModelOutput`];
      await check(lastHiddenState, `out.${tower}.last_hidden_state`);
      await check(poolerOutput, `out.${tower}.pooler_output`);
      for (const [i, hidden] of hiddenStates!.entries())
        await check(hidden, `out.${tower}.hidden_states.${i}`);
    }
    for (const [key, parameter] of model.namedParameters()) await check(parameter.grad!, `grad.${key}`);
    model.zeroGrad();
    model.dispose();
  });
});
