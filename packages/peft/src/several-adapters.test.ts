// Several adapters on one model: switching, disabling, joining, merging, and steps that are captured across it.
import { AdamW, autocast, capture, type Device, scope, type Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { LoraLinear } from "./lora/linear.js";
import { getPeftModel, type PeftModel } from "./peft-model.js";
import { type Classifier, difference, logitsOf, packed, padded, stir, tinyModel } from "./testing/tiny.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

/** `default` on q and v, `other` on q and k, both with numbers in them. */
async function two(taskType: "SEQ_CLS" | null = null): Promise<PeftModel<Classifier>> {
  const peft = getPeftModel(tinyModel(device), { r: 2, targetModules: ["q_lin", "v_lin"], taskType });
  peft.addAdapter("other", { r: 2, loraAlpha: 3, targetModules: ["q_lin", "k_lin"] });
  await stir(peft, "default");
  await stir(peft, "other");
  return peft;
}

const trainedNames = (peft: PeftModel<Classifier>) =>
  [...peft.namedParameters()].filter(([, p]) => p.requiresGrad).map(([name]) => name);

describe("several adapters", () => {
  it("act one at a time or together, and only those that act are trained", async () => {
    const peft = await two();
    const input = padded(device);
    const first = await logitsOf(peft, input);
    expect(trainedNames(peft).every((name) => name.includes(".default."))).toBe(true);
    peft.setAdapter("other");
    expect(peft.activeAdapter).toBe("other");
    const second = await logitsOf(peft, input);
    expect(difference(second, first)).toBeGreaterThan(1e-4);
    expect(trainedNames(peft).every((name) => name.includes(".other."))).toBe(true);
    peft.setAdapter(["default", "other"]);
    expect(trainedNames(peft).length).toBe(16);
    const both = await logitsOf(peft, input);
    expect(difference(both, first)).toBeGreaterThan(1e-4);
    peft.setAdapter("default");
    expect(await logitsOf(peft, input)).toEqual(first);
    peft.dispose();
  });

  it("each have a head of their own, and the original one is kept and counted", async () => {
    const peft = await two("SEQ_CLS");
    const input = padded(device);
    const plain = tinyModel(device);
    const before = await logitsOf(plain, input);
    const own = [await logitsOf(peft, input)];
    peft.setAdapter("other");
    own.push(await logitsOf(peft, input));
    expect(difference(own[0]!, own[1]!)).toBeGreaterThan(1e-3);
    expect(peft.adapterState("other").has("base_model.model.classifier.weight")).toBe(true);
    expect(peft.activePeftConfig.modulesToSave).toEqual(["classifier", "score"]);
    const head = 16 * 16 + 16 + 2 * 16 + 2;
    const { all, trainable } = peft.getNbTrainableParameters();
    expect(all).toBe(plain.numParameters() + 2 * (head + 2 * 4 * 2 * 16));
    expect(trainable).toBe(head + 4 * 2 * 2 * 16);
    // Without the adapters the model is as it was before, heads included.
    expect(await peft.disableAdapter(() => logitsOf(peft, input))).toEqual(before);
    expect(await logitsOf(peft, input)).toEqual(own[1]);
    {
      using _ = peft.disableAdapter();
      expect(await logitsOf(peft, input)).toEqual(before);
    }
    expect(() =>
      peft.disableAdapter(() => {
        throw new Error("inside");
      }),
    ).toThrow("inside");
    expect(await logitsOf(peft, input)).toEqual(own[1]);
    expect(() => peft.setAdapter(["default", "other"])).toThrow(
      /default, other each have a pre_classifier\.weight of their own/,
    );
    expect(peft.activeAdapter).toBe("other");
    peft.deleteAdapter("other");
    expect(peft.activeAdapter).toBe("default");
    expect(await logitsOf(peft, input)).toEqual(own[0]);
    expect(await logitsOf(peft.unload(), input)).toEqual(before);
    peft.dispose();
    plain.dispose();
  });

  it("are merged and taken out of the weights again, also with DoRA", async () => {
    const peft = getPeftModel(tinyModel(device), { r: 2, targetModules: ["q_lin", "word_embeddings"] });
    peft.addAdapter("dora", { r: 2, useDora: true, targetModules: ["q_lin", "word_embeddings", "lin1"] });
    await stir(peft, "default");
    await stir(peft, "dora");
    peft.setAdapter("dora");
    const input = padded(device);
    const want = await logitsOf(peft, input);
    const weight = await peft.getBaseModel().distilbert.embeddings.word_embeddings.weight.toArray();
    peft.mergeAdapter();
    expect(peft.merged).toBe(true);
    expect(difference(await logitsOf(peft, input), want)).toBeLessThan(2e-6);
    expect(() => peft.setAdapter("default")).toThrow(/Call unmergeAdapter\(\) before another can act/);
    expect(() => peft.deleteAdapter("dora")).toThrow(/"dora" is merged into the weights/);
    expect(() => peft.addAdapter("third", { targetModules: ["q_lin"] })).toThrow(
      /is merged into the weights/,
    );
    peft.unmergeAdapter();
    expect(difference(await logitsOf(peft, input), want)).toBeLessThan(2e-6);
    peft.mergeAdapter(["default", "dora"]);
    peft.unmergeAdapter();
    const after = await peft.getBaseModel().distilbert.embeddings.word_embeddings.weight.toArray();
    expect(difference([...(after as Float32Array)], [...(weight as Float32Array)])).toBeLessThan(1e-5);
    peft.dispose();
  });

  it("are joined exactly by cat, by rank with linear", async () => {
    const peft = await two();
    const input = padded(device);
    peft.setAdapter(["default", "other"]);
    const sum = await logitsOf(peft, input);
    const join = (combinationType: "cat" | "linear", weights = [1, 1]) =>
      peft.addWeightedAdapter({
        adapters: ["default", "other"],
        weights,
        adapterName: combinationType,
        combinationType,
      });
    join("cat");
    peft.setAdapter("cat");
    expect(peft.activePeftConfig).toMatchObject({
      r: 4,
      loraAlpha: 4,
      targetModules: ["q_lin", "v_lin", "k_lin"],
    });
    expect(difference(await logitsOf(peft, input), sum)).toBeLessThan(2e-6);
    join("linear", [1, 0]);
    const layer = peft.loraLayers.get("distilbert.transformer.layer.0.attention.v_lin") as LoraLinear;
    const delta = async (name: string) => [...((await layer.deltaWeight(name).toArray()) as Float32Array)];
    expect(difference(await delta("linear"), await delta("default"))).toBeLessThan(1e-6);
    peft.dispose();
  });

  it("that cannot be are refused by name, and the model stays as it was", async () => {
    const peft = await two();
    const parts = [...peft.namedParameters()].map(([name]) => name);
    const add = (name: string, config: Parameters<typeof peft.addAdapter>[1]) => () =>
      peft.addAdapter(name, config);
    expect(add("other", { targetModules: ["q_lin"] })).toThrow(/there is an adapter "other" already/);
    expect(add("a/b", { targetModules: ["q_lin"] })).toThrow(/"a\/b" cannot name an adapter/);
    expect(add("training", { targetModules: ["q_lin"] })).toThrow(/"training" is taken/);
    expect(add("ia3", { peftType: "IA3", targetModules: ["k_lin"] })).toThrow(
      /there is LORA, and this one is IA3/,
    );
    expect(add("whole", { targetModules: ["lin1"], modulesToSave: ["q_lin"] })).toThrow(
      /q_lin would be trained whole by one adapter and wrapped by another/,
    );
    peft.addAdapter("bias", { targetModules: ["q_lin"], bias: "all" });
    expect(add("bias2", { targetModules: ["q_lin"], bias: "lora_only" })).toThrow(
      /only one adapter of a model can train biases/,
    );
    peft.deleteAdapter("bias");
    expect(() => peft.setAdapter("none")).toThrow(/there is no adapter "none"\. There is default, other\./);
    const join = (more: object) => () =>
      peft.addWeightedAdapter({
        adapters: ["default", "other"],
        weights: [1, 1],
        adapterName: "sum",
        ...more,
      });
    expect(join({ combinationType: "svd" })).toThrow(/combinationType "svd" is not here\. "cat" is exact/);
    expect(join({ weights: [1] })).toThrow(/got 2 adapters and 1 weights/);
    expect([...peft.namedParameters()].map(([name]) => name)).toEqual(parts);
    peft.dispose();
  });

  it("leave no memory behind", async () => {
    const before = device.memory().liveTensors;
    const peft = await two("SEQ_CLS");
    peft.deleteAdapter("default");
    peft.addAdapter("default", { useDora: true, targetModules: ["lin1"] });
    peft.setAdapter("default");
    peft.mergeAdapter();
    peft.dispose();
    const again = await two("SEQ_CLS");
    again.deleteAdapter("default");
    again.deleteAdapter("other");
    expect([...again.namedModules()].some(([, module]) => module instanceof LoraLinear)).toBe(false);
    expect(() => again.activeAdapter).toThrow(/has no adapter/);
    again.unload().dispose();
    expect(device.memory().liveTensors).toBe(before);
  });
});

describe("a captured step", () => {
  it("records anew when another adapter acts, and finds the old recording when it is back", async () => {
    const peft = await two("SEQ_CLS");
    const { inputIds, attentionMask } = padded(device);
    const step = capture((ids: Tensor, mask: Tensor) => {
      const { logits } = peft.forward({ inputIds: ids, attentionMask: mask });
      return logits.detach();
    });
    const run = async () => [...((await step(inputIds, attentionMask!).toArray()) as Float32Array)];
    const plain = async () => logitsOf(peft, { inputIds, attentionMask: attentionMask! });
    for (const name of ["default", "other", "default", "other"]) {
      peft.setAdapter(name);
      expect(await run()).toEqual(await plain());
    }
    const { recorded } = step.statistics;
    peft.setAdapter("default");
    expect(await run()).toEqual(await plain());
    expect(step.statistics.recorded).toBe(recorded);
    await peft.disableAdapter(async () => expect(await run()).toEqual(await plain()));
    peft.mergeAdapter();
    expect(await run()).toEqual(await plain());
    peft.unmergeAdapter();
    peft.deleteAdapter("other");
    peft.addAdapter("other", { r: 2, targetModules: ["q_lin"] });
    await stir(peft, "other");
    peft.setAdapter("other");
    expect(await run()).toEqual(await plain());
    step.dispose();
    peft.dispose();
  });
});

describe("frozen weights", () => {
  it("of the model and of adapters that rest get no gradient and no state, in half precision and packed too", async (context) => {
    if (!device.features.has("shader-f16")) context.skip("the adapter has no shader-f16");
    const peft = await two("SEQ_CLS");
    const losses: number[] = [];
    for (const [name, half] of [
      ["default", null],
      ["other", "f16"],
    ] as const) {
      peft.setAdapter(name);
      const own = new Set<Tensor>(peft.adapterState().values());
      const loss = scope(() => autocast(half, () => peft.forward(packed(device)).loss!));
      loss.backward();
      for (const [key, p] of peft.namedParameters()) expect(p.grad !== null, key).toBe(own.has(p));
      const optimizer = new AdamW(
        [...peft.parameters()].filter((p) => p.requiresGrad),
        { lr: 1e-3 },
      );
      optimizer.step();
      const held = [...optimizer.stateDict().tensors.values()].reduce((sum, tensor) => sum + tensor.numel, 0);
      expect(held).toBe(2 * peft.getNbTrainableParameters().trainable);
      losses.push(await loss.item());
      optimizer.dispose();
      peft.zeroGrad();
      loss.dispose();
    }
    peft.dispose();
    expect(losses.every(Number.isFinite)).toBe(true);
  });
});
