import { DistilBertForMaskedLM, DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AdamW, type Device, Linear, manualSeed, noGrad, scope, skipInit, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { LoraConfig } from "./lora/config.js";
import { LoraLinear } from "./lora/linear.js";
import { getPeftModel, type PeftModel } from "./peft-model.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

type Classifier = DistilBertForSequenceClassification;

const tiny = {
  vocab_size: 30,
  max_position_embeddings: 8,
  dim: 16,
  hidden_dim: 32,
  n_layers: 2,
  n_heads: 2,
  dropout: 0,
  attention_dropout: 0,
  seq_classif_dropout: 0,
};

function newModel(): Classifier {
  manualSeed(device, 3);
  return new DistilBertForSequenceClassification(device, distilBertConfig(tiny)).initAllWeights();
}

function newPeft(config: Partial<LoraConfig> = {}): PeftModel<Classifier> {
  return getPeftModel(newModel(), {
    r: 2,
    targetModules: ["q_lin", "v_lin"],
    taskType: "SEQ_CLS",
    ...config,
  });
}

const input = () => ({
  inputIds: Tensor.from(device, Int32Array.of(1, 5, 9, 2, 1, 7, 2, 0), [2, 4]),
  attentionMask: Tensor.from(device, Int32Array.of(1, 1, 1, 1, 1, 1, 1, 0), [2, 4]),
  labels: Tensor.from(device, Int32Array.of(0, 1), [2]),
});

async function logits(model: Pick<Classifier, "forward">): Promise<Float32Array> {
  const made = noGrad(() => scope(() => model.forward(input()).logits));
  const values = (await made.toArray()) as Float32Array;
  made.dispose();
  return values;
}

const trained = (model: PeftModel<Classifier>) =>
  [...model.adapterState()].filter(([, p]) => p.requiresGrad).map(([name]) => name);

/** Fills every B, so that the adapters change the outputs. */
function fillB(model: PeftModel<Classifier>): void {
  for (const layer of model.loraLayers.values()) {
    const { B: weight } = layer.factors("default");
    weight.copy_(Float32Array.from({ length: weight.numel }, (_, i) => Math.sin(i + 1) * 0.3));
  }
}

describe("getPeftModel", () => {
  it("prints PEFT's counts for DistilBERT-base", () => {
    const model = skipInit(() => new DistilBertForSequenceClassification(device, distilBertConfig()));
    const peft = getPeftModel(model, { r: 16, targetModules: ["q_lin", "v_lin"], taskType: "SEQ_CLS" });
    const lines: string[] = [];
    peft.printTrainableParameters((line) => lines.push(line));
    expect(lines).toEqual(["trainable params: 887,042 || all params: 67,842,052 || trainable%: 1.3075"]);
    peft.dispose();
  });

  it("trains A, B and the head, and names them as PEFT's file does", () => {
    const peft = newPeft();
    const layers = [0, 1].flatMap((i) =>
      ["q_lin", "v_lin"].flatMap((name) =>
        ["lora_A", "lora_B"].map(
          (part) => `base_model.model.distilbert.transformer.layer.${i}.attention.${name}.${part}.weight`,
        ),
      ),
    );
    const heads = ["pre_classifier", "classifier"].flatMap((name) =>
      ["weight", "bias"].map((kind) => `base_model.model.${name}.${kind}`),
    );
    expect(trained(peft).sort()).toEqual([...layers, ...heads].sort());
    expect([...peft.adapterState().keys()].sort()).toEqual([...layers, ...heads].sort());
    expect(peft.activePeftConfig.modulesToSave).toEqual(["classifier", "score"]);
    peft.dispose();
  });

  it("changes nothing at first, and merging changes no output", async () => {
    const plain = newModel();
    const want = await logits(plain);
    const peft = newPeft({ loraAlpha: 6 });
    expect(await logits(peft)).toEqual(want);
    fillB(peft);
    const adapted = await logits(peft);
    expect(Math.abs(adapted[0]! - want[0]!)).toBeGreaterThan(1e-5);
    const merged = peft.mergeAndUnload();
    expect([...merged.namedModules()].some(([, module]) => module instanceof LoraLinear)).toBe(false);
    const after = await logits(merged);
    after.forEach((value, i) => {
      expect(value).toBeCloseTo(adapted[i]!, 6);
    });
    expect(() => peft.forward(input())).toThrow(
      /Go on with the model that mergeAndUnload or unload returned/,
    );
    plain.dispose();
    merged.dispose();
  });

  it("gives the model back as it was with unload, the heads too", async () => {
    const peft = newPeft();
    const want = await logits(peft);
    fillB(peft);
    peft.getBaseModel().classifier.weight.fill_(1);
    const model = peft.unload();
    expect(await logits(model)).toEqual(want);
    model.dispose();
  });

  it("starts adapters as PEFT does", async () => {
    const peft = newPeft({ r: 4, initLoraWeights: "gaussian" });
    const layer = [...peft.loraLayers.values()][0]!;
    expect(
      new Set(
        await layer
          .factors("default")
          .B.tolist()
          .then((rows) => (rows as number[][]).flat()),
      ),
    ).toEqual(new Set([0]));
    peft.dispose();
    const base = new Linear(device, 400, 8);
    const layerOf = new LoraLinear(base);
    layerOf.addAdapter("default", { r: 16, scaling: 1 });
    const a = (await layerOf.factors("default").A.toArray()) as Float32Array;
    expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(1 / Math.sqrt(400));
    expect(Math.max(...a)).toBeGreaterThan(0.9 / Math.sqrt(400));
    layerOf.addAdapter("other", { r: 16, scaling: 1, initLoraWeights: "gaussian" });
    const g = (await layerOf.factors("other").A.toArray()) as Float32Array;
    expect(Math.sqrt(g.reduce((sum, x) => sum + x * x, 0) / g.length)).toBeCloseTo(1 / 16, 2);
    layerOf.dispose();
  });

  it("gives frozen weights no gradient, no gradient work and no optimizer state", () => {
    const peft = newPeft();
    const step = (model: Pick<Classifier, "forward">) => {
      const before = device.snapshot().dispatches;
      scope(() => model.forward(input()).loss!.backward());
      return device.snapshot().dispatches - before;
    };
    const adapter = step(peft);
    for (const [name, p] of peft.namedParameters()) expect(p.grad !== null, name).toBe(p.requiresGrad);
    const optimizer = new AdamW(
      [...peft.parameters()].filter((p) => p.requiresGrad),
      { lr: 1e-3 },
    );
    optimizer.step();
    const held = [...optimizer.stateDict().tensors.values()].reduce((sum, tensor) => sum + tensor.numel, 0);
    expect(held).toBe(2 * peft.getNbTrainableParameters().trainable);
    optimizer.dispose();
    peft.zeroGrad();
    // The same with every weight trained: a product for the gradient of each frozen matrix more, at least.
    peft.requiresGrad_(true);
    const everything = step(peft);
    const matrices = [...peft.namedParameters()].filter(
      ([name, p]) => p.rank === 2 && !/lora_|classifier/.test(name),
    );
    expect(everything - adapter).toBeGreaterThanOrEqual(matrices.length - 2);
    peft.zeroGrad();
    peft.dispose();
  });

  it("drops out the adapter's input in training only", async () => {
    const peft = newPeft({ loraDropout: 0.5 });
    fillB(peft);
    peft.eval();
    const [first, second] = [await logits(peft), await logits(peft)];
    expect(second).toEqual(first);
    peft.train();
    expect(await logits(peft)).not.toEqual(first);
    peft.dispose();
  });

  it("leaves no memory behind", () => {
    const before = device.memory().liveTensors;
    newPeft().mergeAndUnload().dispose();
    newPeft().dispose();
    expect(device.memory().liveTensors).toBe(before);
  });
});

describe("targets", () => {
  const adapted = (config: Partial<LoraConfig>) => {
    const peft = newPeft(config);
    const paths = [...peft.loraLayers.keys()].map((path) =>
      path.replace("distilbert.transformer.layer.", ""),
    );
    const { targetModules: target } = peft.activePeftConfig as LoraConfig;
    peft.dispose();
    return { paths, target };
  };

  it("are names, endings, or an expression for the whole path", () => {
    expect(adapted({ targetModules: ["attention.q_lin"] }).paths).toEqual([
      "0.attention.q_lin",
      "1.attention.q_lin",
    ]);
    expect(adapted({ targetModules: ["distilbert.transformer.layer.1.ffn.lin1"] }).paths).toEqual([
      "1.ffn.lin1",
    ]);
    expect(adapted({ targetModules: ".*layer\\.1.*\\.(q_lin|v_lin)" }).paths).toEqual([
      "1.attention.q_lin",
      "1.attention.v_lin",
    ]);
    expect(adapted({ targetModules: ["q_lin"], excludeModules: ".*layer\\.0.*" }).paths).toEqual([
      "1.attention.q_lin",
    ]);
  });

  it("are all layers but the head with all-linear, written out in the config", () => {
    const { paths, target } = adapted({ targetModules: "all-linear" });
    expect(paths.length).toBe(12);
    expect(target).toContain("distilbert.transformer.layer.0.ffn.lin2");
    expect(target).not.toContain("pre_classifier");
  });

  it("leave out an output projection that shares its weight with the embeddings", () => {
    const model = new DistilBertForMaskedLM(device, distilBertConfig(tiny));
    expect(() => getPeftModel(model, { targetModules: ["vocab_projector"] })).toThrow(
      /the weight of vocab_projector is also that of another module/,
    );
    const peft = getPeftModel(model, { targetModules: "all-linear" });
    expect([...peft.loraLayers.keys()]).not.toContain("vocab_projector");
    expect([...peft.loraLayers.keys()]).toContain("vocab_transform");
    peft.dispose();
  });

  it("take rank and scale from patterns, the root with rslora", () => {
    const peft = newPeft({
      r: 4,
      loraAlpha: 8,
      useRslora: true,
      rankPattern: { "layer.0.attention.q_lin": 16 },
      alphaPattern: { "1.*v_lin": 20 },
    });
    const layer = (path: string) => peft.loraLayers.get(`distilbert.transformer.layer.${path}`)!;
    expect(layer("0.attention.q_lin").factors("default").A.shape).toEqual([16, 16]);
    expect(layer("0.attention.q_lin").scaling.default).toBe(2);
    expect(layer("1.attention.v_lin").scaling.default).toBe(10);
    expect(layer("1.attention.q_lin").scaling.default).toBe(4);
    peft.dispose();
  });

  it("train biases as asked", () => {
    const count = (bias: LoraConfig["bias"]) => {
      const peft = newPeft({ bias, taskType: null });
      const names = trained(peft).filter((name) => name.endsWith("bias"));
      peft.dispose();
      return names;
    };
    expect(count("none")).toEqual([]);
    expect(count("lora_only").length).toBe(4);
    expect(count("lora_only")[0]).toMatch(/q_lin\.base_layer\.bias$/);
    expect(count("all").length).toBe(1 + 2 * (4 + 1 + 2 + 1) + 2);
  });

  it.each<[Partial<LoraConfig>, RegExp]>([
    [{ targetModules: null }, /targetModules is not set\. Name the layers to adapt \(q_lin, k_lin/],
    [{ targetModules: ["q_proj"] }, /no module is named "q_proj"\. Did you mean q_lin\?/],
    [{ targetModules: ["q_lin", "vlin"] }, /no module is named "vlin"\. Did you mean v_lin\?/],
    [
      { targetModules: "q_lin" },
      /A text is an expression for the whole path; for an ending pass a list: \["q_lin"\]/,
    ],
    [
      { targetModules: ["sa_layer_norm"] },
      /sa_layer_norm, a LayerNorm; LoRA is for Linear, Embedding, Conv2d layers/,
    ],
    [{ targetModules: ["q_lin", "pre_classifier"] }, /trained whole .* excludeModules: \["pre_classifier"\]/],
    [
      { modulesToSave: ["classifer"] },
      /modulesToSave: no module is named "classifer"\. Did you mean classifier\?/,
    ],
    [{ rankPattern: { k_lin: 4 } }, /rankPattern: no adapted layer ends with "k_lin"/],
  ])("that cannot be are refused by name: %j", (config, message) => {
    const model = newModel();
    const before = [...model.namedModules()].length;
    expect(() => getPeftModel(model, { targetModules: ["q_lin"], taskType: "SEQ_CLS", ...config })).toThrow(
      message,
    );
    expect([...model.namedModules()].length).toBe(before);
    expect([...model.parameters()].every((p) => p.requiresGrad)).toBe(true);
    model.dispose();
  });

  it("are refused in a model that has an adapter", () => {
    const peft = newPeft();
    expect(() => getPeftModel(peft.getBaseModel(), { targetModules: ["k_lin"] })).toThrow(
      /has an adapter already \(distilbert\.transformer\.layer\.0\.attention\.q_lin\)/,
    );
    peft.dispose();
  });
});
