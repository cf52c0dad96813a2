// What is not plain LoRA on Linear layers: DoRA, embeddings, convolutions, (IA)³, prompts, modules of any kind trained whole.
import { Conv2d, type Device, Linear, Module, manualSeed, noGrad, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PeftConfigInput } from "./peft-config.js";
import { getPeftModel, type PeftModel } from "./peft-model.js";
import { type Classifier, difference, logitsOf, packed, padded, stir, tinyModel } from "./testing/tiny.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const newPeft = (config: PeftConfigInput) => getPeftModel(tinyModel(device), config);

/** Changes nothing at first, changes outputs when stirred, and gives the same outputs merged. */
async function checkWhole(config: PeftConfigInput): Promise<PeftModel<Classifier>> {
  const input = padded(device);
  const plain = tinyModel(device);
  const before = await logitsOf(plain, input);
  plain.dispose();
  const peft = newPeft(config);
  expect(difference(await logitsOf(peft, input), before)).toBeLessThan(1e-6);
  await stir(peft, "default");
  const want = await logitsOf(peft, input);
  expect(difference(want, before)).toBeGreaterThan(1e-4);
  expect(difference(await logitsOf(peft, packed(device)), want)).toBeLessThan(3e-6);
  if (config.peftType !== "PROMPT_TUNING") {
    peft.mergeAdapter();
    expect(difference(await logitsOf(peft, input), want)).toBeLessThan(3e-6);
    peft.unmergeAdapter();
  }
  return peft;
}

const parts = (peft: PeftModel<Classifier>) =>
  [...peft.adapterState().keys()].map((name) => name.replace("base_model.model.distilbert.", ""));

describe("DoRA", () => {
  it("has a length an output, at first that of the weight", async () => {
    const peft = await checkWhole({ r: 2, useDora: true, targetModules: ["q_lin", "word_embeddings"] });
    expect(parts(peft)).toContain("transformer.layer.0.attention.q_lin.lora_magnitude_vector");
    const shape = (name: string) => peft.adapterState().get(`base_model.model.distilbert.${name}`)!.shape;
    expect(shape("embeddings.word_embeddings.lora_magnitude_vector")).toEqual([16]);
    expect(shape("embeddings.word_embeddings.lora_embedding_A")).toEqual([2, 30]);
    peft.dispose();
  });

  it("drops out the part that it adds", async () => {
    const peft = newPeft({ useDora: true, loraDropout: 0.5, targetModules: ["q_lin", "lin1"] });
    await stir(peft, "default");
    const input = padded(device);
    peft.eval();
    const want = await logitsOf(peft, input);
    peft.train();
    expect(await logitsOf(peft, input)).not.toEqual(want);
    peft.dispose();
  });
});

describe("LoRA on embeddings", () => {
  it("takes in the positions, which a model reads from the table where nothing is around it", async () => {
    const peft = await checkWhole({ r: 2, targetModules: ["position_embeddings", "word_embeddings"] });
    scope(() => peft.forward(padded(device)).loss!.backward());
    for (const [name, parameter] of peft.adapterState())
      expect(parameter.grad?.shape, name).toEqual(parameter.shape);
    peft.zeroGrad();
    peft.dispose();
  });
});

describe("layersToTransform", () => {
  it.each([
    [{ layersToTransform: [1] }, ["1"]],
    [{ layersToTransform: 0, layersPattern: "layer" }, ["0"]],
    [{ layersToTransform: [0, 1], layersPattern: ["block", "layer"] }, ["0", "1"]],
  ])("%j takes layers %j", (settings, want) => {
    const peft = newPeft({ targetModules: ["q_lin"], ...settings });
    expect([...peft.loraLayers.keys()].map((path) => path.split(".")[3])).toEqual(want);
    peft.dispose();
  });

  it("of no layer is refused", () => {
    const model = tinyModel(device);
    expect(() => getPeftModel(model, { targetModules: ["q_lin"], layersToTransform: [7] })).toThrow(
      /leaves no layer to adapt/,
    );
    model.dispose();
  });
});

describe("modules trained whole", () => {
  it("may be of any kind, also where the model reads their weights", async () => {
    const peft = await checkWhole({
      targetModules: ["q_lin"],
      modulesToSave: ["LayerNorm", "lin2", "position_embeddings"],
    });
    expect(parts(peft)).toContain("embeddings.position_embeddings.weight");
    expect(peft.getBaseModel().distilbert.embeddings.LayerNorm.weight.requiresGrad).toBe(true);
    peft.dispose();
  });
});

describe("(IA)³", () => {
  const config = {
    peftType: "IA3",
    targetModules: ["k_lin", "lin2"],
    feedforwardModules: ["lin2"],
  } as const;

  it("scales outputs, and the inputs of feed-forward layers", async () => {
    const peft = await checkWhole({ ...config, taskType: "SEQ_CLS" });
    const shape = (name: string) =>
      peft.adapterState().get(`base_model.model.distilbert.transformer.layer.1.${name}`)!.shape;
    expect(shape("attention.k_lin.ia3_l")).toEqual([16, 1]);
    expect(shape("ffn.lin2.ia3_l")).toEqual([1, 32]);
    expect(peft.getNbTrainableParameters().trainable).toBe(2 * (16 + 32) + 16 * 16 + 16 + 2 * 16 + 2);
    peft.dispose();
  });

  it("adds up by weight", async () => {
    const peft = newPeft(config);
    peft.addAdapter("other", config);
    await stir(peft, "default");
    peft.addWeightedAdapter({ adapters: ["default", "other"], weights: [2, -1], adapterName: "sum" });
    const values = async (name: string) => [
      ...((await [...peft.adapterState(name).values()][0]!.toArray()) as Float32Array),
    ];
    const want = (await values("default")).map((value) => 2 * value - 1);
    expect(difference(await values("sum"), want)).toBeLessThan(1e-6);
    const turned = { ...config, targetModules: ["q_lin", "lin2"], feedforwardModules: [] };
    const names = [...peft.namedParameters()].map(([name]) => name);
    expect(() => peft.addAdapter("turned", turned)).toThrow(
      /lin2 is among the feedforwardModules of another/,
    );
    expect([...peft.namedParameters()].map(([name]) => name)).toEqual(names);
    expect(() => peft.addAdapter("turned", { ...config, feedforwardModules: ["k_lin", "lin2"] })).toThrow(
      /k_lin is not among the feedforwardModules of another adapter/,
    );
    peft.dispose();
  });

  it("is for Linear and Conv2d layers", () => {
    const model = tinyModel(device);
    expect(() => getPeftModel(model, { peftType: "IA3", targetModules: ["word_embeddings"] })).toThrow(
      /\(IA\)³ is for Linear, Conv2d layers/,
    );
    model.dispose();
  });
});

describe("prompt tuning", () => {
  const config = { peftType: "PROMPT_TUNING", numVirtualTokens: 3, taskType: "SEQ_CLS" } as const;

  it("trains vectors before the words, the same of padded rows and of rows one behind the other", async () => {
    const peft = newPeft(config);
    await stir(peft, "default");
    const want = await logitsOf(peft, padded(device));
    expect(difference(await logitsOf(peft, packed(device)), want)).toBeLessThan(2e-6);
    expect([...peft.adapterState()].map(([name, p]) => `${name} ${p.shape.join()}`)).toContain(
      "prompt_embeddings 3,16",
    );
    expect([...peft.adapterState().keys()]).toContain("base_model.classifier.weight");
    expect(peft.activePeftConfig).toMatchObject({ tokenDim: 16, numLayers: 2, numAttentionHeads: 2 });
    const grads: number[][] = [];
    for (const input of [padded, packed]) {
      scope(() => peft.forward(input(device)).loss!.backward());
      const prompt = peft.adapterState().get("prompt_embeddings")!;
      grads.push([...((await prompt.grad!.toArray()) as Float32Array)]);
      expect(peft.getBaseModel().distilbert.transformer.layer.at(0).ffn.lin1.weight.grad).toBeNull();
      peft.zeroGrad();
    }
    expect(Math.max(...grads[0]!.map(Math.abs))).toBeGreaterThan(1e-4);
    expect(difference(grads[0]!, grads[1]!)).toBeLessThan(1e-6);
    expect(() => peft.mergeAdapter()).toThrow(/cannot be merged\. Keep the PeftModel/);
    peft.dispose();
  });

  it("needs the number of vectors", () => {
    const model = tinyModel(device);
    expect(() => getPeftModel(model, { peftType: "PROMPT_TUNING" })).toThrow(/numVirtualTokens is not set/);
    model.dispose();
  });

  it("starts from words of the vocabulary where asked, and can be switched off", async () => {
    const peft = newPeft({ ...config, promptTuningInit: "SAMPLE_VOCAB" as const });
    const words = peft.getBaseModel().distilbert.embeddings.word_embeddings.weight;
    const rows = (await words.tolist()) as number[][];
    for (const vector of (await peft.adapterState().get("prompt_embeddings")!.tolist()) as number[][])
      expect(rows).toContainEqual(vector);
    const plain = tinyModel(device);
    const before = await logitsOf(plain, padded(device));
    expect(await peft.disableAdapter(() => logitsOf(peft, padded(device)))).toEqual(before);
    expect(await logitsOf(peft.unload(), padded(device))).toEqual(before);
    for (const model of [peft, plain]) model.dispose();
  });
});

/** A model of one's own, with convolutions. */
class Pictures extends Module {
  conv = new Conv2d(device, 3, 4, 3, { stride: 2, padding: 1 });
  one = new Conv2d(device, 4, 5, 1, { bias: false });
  fc = new Linear(device, 45, 2);

  forward(x: Tensor): Tensor {
    return scope(() => {
      const hidden = this.one.forward(this.conv.forward(x).relu()).relu();
      return this.fc.forward(hidden.reshape([x.size(0), 45]));
    });
  }
}

describe("convolutions", () => {
  it.each<[string, PeftConfigInput]>([
    ["LoRA", { r: 2, targetModules: ["conv", "one", "fc"] }],
    ["DoRA", { r: 2, useDora: true, targetModules: ["conv", "one"] }],
    ["(IA)³", { peftType: "IA3", targetModules: ["conv", "one"], feedforwardModules: ["one"] }],
  ])("%s gives the same outputs merged, and gradients to all its parts", async (_name, config) => {
    manualSeed(device, 2);
    const peft = getPeftModel(new Pictures(), config);
    const values = Float32Array.from({ length: 216 }, (_, i) => Math.sin(i * 0.37));
    const x = Tensor.from(device, values, [2, 3, 6, 6]);
    const run = async () => [
      ...((await noGrad(() => peft.forward(x as never) as unknown as Tensor).toArray()) as Float32Array),
    ];
    const before = await run();
    let i = 0;
    for (const parameter of peft.adapterState().values()) {
      const old = (await parameter.toArray()) as Float32Array;
      parameter.copy_(old.map((value) => value + 0.3 * Math.sin(++i)));
    }
    const want = await run();
    expect(difference(want, before)).toBeGreaterThan(1e-3);
    scope(() => (peft.forward(x as never) as unknown as Tensor).sum().backward());
    for (const [name, parameter] of peft.adapterState()) expect(parameter.grad, name).not.toBeNull();
    peft.zeroGrad();
    peft.mergeAdapter();
    expect(difference(await run(), want)).toBeLessThan(3e-6);
    peft.unload();
    peft.dispose();
  });

  it("in groups are refused", () => {
    class Grouped extends Module {
      conv = new Conv2d(device, 4, 4, 3, { groups: 2 });
      forward(x: Tensor): Tensor {
        return this.conv.forward(x);
      }
    }
    const model = new Grouped();
    expect(() => getPeftModel(model, { targetModules: ["conv"] })).toThrow(
      /a convolution in groups or with dilation/,
    );
    model.dispose();
  });
});
