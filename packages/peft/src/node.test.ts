import { existsSync } from "node:fs";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { CLIPModel, DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { fromPretrained, type ModelClass, saveSafetensors } from "@wgrad/models/node";
import {
  bytesOf,
  type Device,
  manualSeed,
  noGrad,
  readSafetensors,
  scope,
  Tensor,
  toFloat32,
  toInt32,
} from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  isAdapterFolder,
  loadAdapter,
  loadAdapterWeights,
  PeftConfig,
  PeftModel,
  savePretrained,
} from "./node.js";
import type { PeftConfigInput } from "./peft-config.js";
import { type AdaptableModel, getPeftModel } from "./peft-model.js";

const shared = resolve(process.env.WGRAD_SHARED!, "fixtures");
const missing = !existsSync(join(shared, "peft/counts.json"));

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = await mkdtemp(join(tmpdir(), "wgrad-peft-"));
});
afterAll(async () => {
  device.close();
  await rm(folder, { recursive: true, force: true });
});

function newModel(): DistilBertForSequenceClassification {
  manualSeed(device, 3);
  const config = distilBertConfig({ vocab_size: 30, dim: 16, hidden_dim: 32, n_layers: 1, n_heads: 2 });
  return new DistilBertForSequenceClassification(device, config).initAllWeights();
}

const newPeft = (r = 2) => getPeftModel(newModel(), { r, targetModules: ["q_lin"], taskType: "SEQ_CLS" });

describe("adapters on disk", () => {
  it("come back as they went, frozen unless they are to be trained on", async () => {
    const peft = newPeft();
    for (const layer of peft.loraLayers.values()) layer.factors("default").B.fill_(0.25);
    const place = join(folder, "round");
    await savePretrained(peft, place);
    expect((await readdir(place)).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
    expect(isAdapterFolder(place)).toBe(true);
    expect(isAdapterFolder(folder)).toBe(false);
    expect(await PeftConfig.fromPretrained(place)).toMatchObject({ r: 2, inferenceMode: true });
    const back = await PeftModel.fromPretrained(newModel(), place);
    for (const [name, tensor] of peft.adapterState())
      expect(await back.adapterState().get(name)!.toArray(), name).toEqual(await tensor.toArray());
    expect(back.getNbTrainableParameters().trainable).toBe(0);
    const trainable = await PeftModel.fromPretrained(newModel(), place, { isTrainable: true });
    expect(trainable.getNbTrainableParameters()).toEqual(peft.getNbTrainableParameters());
    for (const model of [peft, back, trainable]) model.dispose();
  });

  it("lie in folders of their names where there are several, as in PEFT", async () => {
    const peft = newPeft();
    peft.addAdapter("other", { r: 3, targetModules: ["v_lin"], modulesToSave: ["lin1"] });
    peft.addAdapter("spare", { r: 1, targetModules: ["k_lin"] });
    for (const layer of peft.loraLayers.values())
      for (const adapter of layer.adapterNames) layer.factors(adapter).B.fill_(0.5);
    const place = join(folder, "several");
    await savePretrained(peft, place, { selectedAdapters: ["default", "other"] });
    expect((await readdir(place)).sort()).toEqual([
      "adapter_config.json",
      "adapter_model.safetensors",
      "other",
    ]);
    const back = await PeftModel.fromPretrained(newModel(), place);
    await loadAdapter(back, join(place, "other"), "second", { isTrainable: true });
    expect(back.activeAdapter).toBe("default");
    back.setAdapter("second");
    expect(back.getNbTrainableParameters().trainable).toBeGreaterThan(0);
    const values = async (model: typeof peft, adapter: string) => {
      const list = [...model.adapterState(adapter)].map(
        async ([name, p]) => [name, await p.toArray()] as const,
      );
      return new Map(await Promise.all(list));
    };
    expect(await values(back, "second")).toEqual(await values(peft, "other"));
    expect(await values(back, "default")).toEqual(await values(peft, "default"));
    await expect(loadAdapter(back, place, "second")).rejects.toThrow(/there is an adapter "second" already/);
    await expect(savePretrained(back, place, { selectedAdapters: ["none"] })).rejects.toThrow(
      /no adapter "none"/,
    );
    // Into a model that has these adapters already, as a checkpoint is read.
    peft.deleteAdapter("spare");
    const want = await values(peft, "other");
    peft.loraLayers.get("distilbert.transformer.layer.0.attention.v_lin")!.factors("other").B.fill_(7);
    await loadAdapterWeights(peft, place);
    expect(await values(peft, "other")).toEqual(want);
    for (const model of [peft, back]) model.dispose();
  });

  it.each<PeftConfigInput>([
    { targetModules: ["word_embeddings", "lin1"], useDora: true, bias: "all", taskType: "SEQ_CLS" },
    { peftType: "IA3", targetModules: ["k_lin", "lin2"], feedforwardModules: ["lin2"], taskType: "SEQ_CLS" },
    { peftType: "PROMPT_TUNING", numVirtualTokens: 3, taskType: "SEQ_CLS" },
  ])("of other methods come back too: %j", async (config) => {
    const peft = getPeftModel(newModel(), config);
    const place = join(folder, `method-${Object.values(config)[0]}`);
    await savePretrained(peft, place);
    const back = await PeftModel.fromPretrained(newModel(), place);
    expect(back.activePeftConfig).toEqual({ ...peft.activePeftConfig, inferenceMode: true });
    for (const [name, tensor] of peft.adapterState())
      expect(await back.adapterState().get(name)!.toArray(), name).toEqual(await tensor.toArray());
    for (const model of [peft, back]) model.dispose();
  });

  it("that do not fit are refused by name, and the adapter is taken off again", async () => {
    const peft = newPeft();
    const place = join(folder, "wrong");
    await savePretrained(peft, place);
    const sources = async (change: (name: string) => string) =>
      Promise.all(
        [...peft.adapterState()].map(async ([name, tensor]) => ({
          name: change(name),
          dtype: "F32" as const,
          shape: [...tensor.shape],
          bytes: bytesOf(await tensor.toArray()),
        })),
      );
    const file = join(place, "adapter_model.safetensors");
    await saveSafetensors(
      file,
      await sources((name) => name.replace("layer.0.attention", "layer.7.attention")),
    );
    const model = newModel();
    await expect(PeftModel.fromPretrained(model, place)).rejects.toThrow(
      /adapter_model\.safetensors does not fit.*Missing in the file: .*layer\.0\.attention\.q_lin\.lora_A\.weight.*Without a place in the model: .*layer\.7\.attention/,
    );
    expect([...model.stateDict().keys()]).toEqual([...newModel().stateDict().keys()]);

    const wide = newPeft(4);
    await savePretrained(wide, place);
    const config = JSON.parse(await readFile(join(place, "adapter_config.json"), "utf8"));
    await writeFile(join(place, "adapter_config.json"), JSON.stringify({ ...config, r: 2 }));
    await expect(PeftModel.fromPretrained(model, place)).rejects.toThrow(
      /lora_A\.weight has shape \[4, 16\], the model and its config ask for \[2, 16\]/,
    );
    await rm(file);
    await expect(PeftModel.fromPretrained(model, place)).rejects.toThrow(/adapter_model\.safetensors/);
    for (const one of [peft, wide, model]) one.dispose();
  });
});

describe.skipIf(missing)("an adapter that PEFT wrote (skipped without the shared reference values)", () => {
  const plain = { dropout: 0, attention_dropout: 0, seq_classif_dropout: 0 };
  /** For each kind: its base, and which of its outputs is compared. */
  const kinds = {
    distilbert: {
      base: "distilbert-tiny-seqcls2",
      modelClass: DistilBertForSequenceClassification,
      output: "logits",
    },
    clip: { base: "clip-tiny", modelClass: CLIPModel, output: "logits_per_image" },
  } as const;
  const load = async (kind: keyof typeof kinds, adapter: string) => {
    const { base, modelClass } = kinds[kind];
    const model = (
      await fromPretrained(
        modelClass as ModelClass<CLIPModel | DistilBertForSequenceClassification, never>,
        device,
        join(shared, "models", base),
        { config: plain },
      )
    ).model;
    return PeftModel.fromPretrained(model as AdaptableModel, adapter, { isTrainable: true });
  };
  const variants = ["lora", "rslora", "dora", "all-linear", "patterns"];
  const folders = (["distilbert", "clip"] as const).flatMap((kind) =>
    variants.map((variant) => [kind, variant] as const),
  );

  it.each(folders)("gives its outputs, loaded and saved again: %s-%s", async (kind, variant) => {
    const place = join(shared, "peft", `${kind}-${variant}`);
    const copy = join(folder, `${kind}-${variant}`);
    await cp(join(place, "adapter"), copy, { recursive: true });
    const first = await load(kind, copy);
    const saved = `${copy}-saved`;
    await savePretrained(first, saved);
    const [theirs, ours] = await Promise.all(
      [copy, saved].map((at) => readFile(join(at, "adapter_model.safetensors"))),
    );
    expect(ours!.equals(theirs!)).toBe(true);
    const json = async (at: string) => JSON.parse(await readFile(join(at, "adapter_config.json"), "utf8"));
    expect(await json(copy)).toMatchObject(await json(saved));
    first.dispose();

    const model = await load(kind, saved);
    const stored = readSafetensors(await readFile(join(place, "io.safetensors")));
    const tensor = (key: string) => {
      const view = stored.get(`in.${key}`);
      return Tensor.from(device, view.dtype === "F32" ? toFloat32(view) : toInt32(view), view.shape);
    };
    const ofText = { inputIds: tensor("input_ids"), attentionMask: tensor("attention_mask") };
    const input = kind === "clip" ? { ...ofText, pixelValues: tensor("pixel_values") } : ofText;
    const { output } = kinds[kind];
    const outputs = noGrad(() => scope(() => model.forward(input as never))) as Record<string, Tensor>;
    const made = outputs[output === "logits" ? "logits" : "logitsPerImage"]!;
    const { tol } = JSON.parse(await readFile(join(place, "io.json"), "utf8")) as {
      tol: Record<string, { rtol: number; atol: number }>;
    };
    const got = (await made.toArray()) as Float32Array;
    const want = toFloat32(stored.get(`out.${output}`));
    const { rtol, atol } = tol[`out.${output}`]!;
    for (const [i, value] of got.entries())
      expect(Math.abs(value - want[i]!)).toBeLessThanOrEqual(atol + rtol * Math.abs(want[i]!));
    model.dispose();
  });
});
