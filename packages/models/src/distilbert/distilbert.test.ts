import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AdamW, type Device, manualSeed, scope, skipInit, Tensor, toFloat32, toInt32 } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
  fromConfig,
  savePretrained,
} from "../auto.js";
import { openSafetensors } from "../files.js";
import { distilBertConfig } from "./config.js";
import { DistilBertForMaskedLM, DistilBertForSequenceClassification } from "./heads.js";
import { DistilBertModel } from "./model.js";

const shared = process.env.WGRAD_SHARED!;
const fixtures = join(shared, "fixtures/models");

let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "wgrad-distilbert-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const tiny = (extra: Record<string, unknown> = {}) =>
  distilBertConfig({
    model_type: "distilbert",
    vocab_size: 20,
    dim: 8,
    n_heads: 2,
    n_layers: 2,
    hidden_dim: 16,
    max_position_embeddings: 10,
    dropout: 0,
    attention_dropout: 0,
    seq_classif_dropout: 0,
    ...extra,
  });

const ids = (...rows: number[][]) =>
  Tensor.from(device, Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);

describe("parameter counts of DistilBERT-base", () => {
  it("66,362,880 without a head, 66,955,010 with two labels", () => {
    const bare = skipInit(() => new DistilBertModel(device, distilBertConfig()));
    expect(bare.numParameters()).toBe(66_362_880);
    bare.dispose();
    const classifier = skipInit(() => new DistilBertForSequenceClassification(device, distilBertConfig()));
    expect(classifier.numParameters()).toBe(66_955_010);
    classifier.dispose();
    device.emptyCache();
  });
});

describe("saving and loading", () => {
  it("gives the same logits again, and leaves no temporary file", async () => {
    manualSeed(device, 3);
    const model = AutoModelForSequenceClassification.fromConfig(device, tiny()).eval();
    const path = join(folder, "same");
    await savePretrained(model, path);
    const again = await AutoModelForSequenceClassification.fromPretrained(device, path);
    again.model.eval();
    expect(again.info).toEqual({ missingKeys: [], unexpectedKeys: [] });
    const inputIds = ids([1, 2, 3], [4, 5, 6]);
    const one = await scope(() => model.forward({ inputIds }).logits).toArray();
    const two = await scope(() => again.model.forward({ inputIds }).logits).toArray();
    expect([...two]).toEqual([...one]);
  });

  it("adds the prefix an encoder's file lacks, and warns of the new head as Hugging Face does", async () => {
    const path = join(folder, "encoder");
    await savePretrained(AutoModel.fromConfig(device, tiny()), path);
    const warnings: string[] = [];
    const { info } = await AutoModelForSequenceClassification.fromPretrained(device, path, {
      onWarning: (message) => warnings.push(message),
    });
    expect(info.missingKeys.sort()).toEqual([
      "classifier.bias",
      "classifier.weight",
      "pre_classifier.bias",
      "pre_classifier.weight",
    ]);
    expect(warnings[0]).toContain(
      "Some weights of DistilBertForSequenceClassification were not initialized from the model checkpoint at",
    );
    expect(warnings[0]).toContain(
      "newly initialized: ['classifier.bias', 'classifier.weight', 'pre_classifier.bias', 'pre_classifier.weight']",
    );
  });

  it("drops the prefix for a bare encoder, and stores tied weights once", async () => {
    const path = join(folder, "mlm");
    await savePretrained(AutoModelForMaskedLM.fromConfig(device, tiny()), path);
    await using file = await openSafetensors(join(path, "model.safetensors"));
    expect([...file.tensors.keys()]).not.toContain("vocab_projector.weight");
    const { info } = await AutoModel.fromPretrained(device, path);
    expect(info.missingKeys).toEqual([]);
    const full = await AutoModelForMaskedLM.fromPretrained(device, path);
    expect(full.info.missingKeys).toEqual([]);
    expect(full.model.vocab_projector.weight).toBe(full.model.distilbert.embeddings.word_embeddings.weight);
  });

  it("keeps names and number of labels", async () => {
    const path = join(folder, "labels");
    const config = distilBertConfig(tiny().json, ["neg", "neutral", "pos"]);
    await savePretrained(AutoModelForSequenceClassification.fromConfig(device, config), path);
    const json = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    expect(json).toMatchObject({
      id2label: { 0: "neg", 1: "neutral", 2: "pos" },
      architectures: ["DistilBertForSequenceClassification"],
      model_type: "distilbert",
    });
    const { model } = await AutoModelForSequenceClassification.fromPretrained(device, path);
    expect(model.config.numLabels).toBe(3);
  });
});

describe("what cannot be loaded says why", () => {
  it("weights that do not fit the config", async () => {
    const path = join(folder, "misfit");
    await savePretrained(AutoModelForSequenceClassification.fromConfig(device, tiny()), path);
    const json = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    writeFileSync(join(path, "config.json"), JSON.stringify({ ...json, dim: 16 }));
    await expect(AutoModelForSequenceClassification.fromPretrained(device, path)).rejects.toThrow(
      /embeddings\.word_embeddings\.weight has shape \[20, 8\], but config\.json asks for \[20, 16\]/,
    );
  });

  it("a file cut short", async () => {
    const path = join(folder, "short");
    await savePretrained(AutoModel.fromConfig(device, tiny()), path);
    truncateSync(join(path, "model.safetensors"), 3000);
    await expect(AutoModel.fromPretrained(device, path)).rejects.toThrow("model.safetensors");
  });

  it("another kind of model", async () => {
    const path = join(folder, "other");
    await savePretrained(AutoModel.fromConfig(device, tiny()), path);
    const json = JSON.parse(readFileSync(join(path, "config.json"), "utf8"));
    writeFileSync(join(path, "config.json"), JSON.stringify({ ...json, model_type: "gpt2" }));
    await expect(AutoModel.fromPretrained(device, path)).rejects.toThrow('model_type is "gpt2"');
  });

  it("a sequence longer than the positions", () => {
    const model = fromConfig(DistilBertModel, device, tiny());
    expect(() => model.forward({ inputIds: ids(new Array(11).fill(1)) })).toThrow(
      "a sequence of 11 tokens is longer than the 10 positions",
    );
  });

  it("settings out of range", () => {
    expect(() => distilBertConfig({ dim: 10, n_heads: 3 })).toThrow("dim 10 is not a multiple of n_heads 3");
    expect(() => distilBertConfig({ activation: "swish" })).toThrow(
      'activation "swish" is not one of gelu, relu',
    );
  });
});

describe("padding", () => {
  it("does not change the logits of a sentence", async () => {
    const model = AutoModelForSequenceClassification.fromConfig(device, tiny()).eval();
    const alone = await scope(() => model.forward({ inputIds: ids([3, 4, 5]) }).logits).toArray();
    const attentionMask = ids([1, 1, 1, 0, 0]);
    const padded = await scope(
      () => model.forward({ inputIds: ids([3, 4, 5, 9, 9]), attentionMask }).logits,
    ).toArray();
    alone.forEach((value, i) => {
      expect(padded[i]).toBeCloseTo(value, 6);
    });
  });
});

describe.skipIf(!existsSync(fixtures))("against Hugging Face (needs WGRAD_SHARED)", () => {
  it.each([
    ["distilbert-tiny-seqcls2", AutoModelForSequenceClassification],
    ["distilbert-tiny-seqcls3", AutoModelForSequenceClassification],
    ["distilbert-tiny-mlm", AutoModelForMaskedLM],
  ])("%s: outputs, every gradient, five steps of AdamW", async (name, auto) => {
    const path = join(fixtures, name);
    const { tol } = JSON.parse(readFileSync(join(path, "io.json"), "utf8"));
    await using io = await openSafetensors(join(path, "io.safetensors"));
    const input = async (key: string) => {
      const view = await io.read(key);
      return Tensor.from(device, toInt32(view), view.shape);
    };
    const check = async (got: Tensor, key: string) => {
      const want = toFloat32(await io.read(key));
      const values = await got.toArray();
      const { atol, rtol } = tol[key];
      const over = want.findIndex((w, i) => !(Math.abs(values[i]! - w) <= atol + rtol * Math.abs(w)));
      expect(over < 0 ? "" : `${key}[${over}]: ${values[over]} for ${want[over]}`).toBe("");
    };
    const { model } = await auto.fromPretrained(device, path);
    const batch = async (prefix: string) => ({
      inputIds: await input(`${prefix}input_ids`),
      attentionMask: await input(`${prefix}attention_mask`),
      labels: await input(`${prefix}labels`),
    });
    const given = await batch("in.");
    const out = scope(() => {
      const made = model.forward({ ...given, outputHiddenStates: true, outputAttentions: true });
      made.loss!.backward();
      return made;
    });
    await check(out.loss!, "out.loss");
    await check(out.logits, "out.logits");
    for (const [i, hidden] of out.hiddenStates!.entries()) await check(hidden, `out.hidden_states.${i}`);
    for (const [i, weights] of out.attentions!.entries()) await check(weights, `out.attentions.${i}`);
    for (const [key, parameter] of model.namedParameters()) await check(parameter.grad!, `grad.${key}`);
    model.zeroGrad();
    const optimizer = new AdamW(model.parameters(), { lr: 1e-3, weightDecay: 0.01 });
    const losses = toFloat32(await io.read("train.losses"));
    for (const [s, want] of losses.entries()) {
      const part = await batch(`train.in.${s}.`);
      const loss = scope(() => {
        const made = model.forward(part).loss!;
        made.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return made;
      });
      expect(Math.abs((await loss.item()) - want)).toBeLessThan(1e-5);
    }
    for (const [key, parameter] of model.namedParameters()) await check(parameter, `train.final.${key}`);
  });
});

it("a masked language model needs no second table when untied", () => {
  const model = skipInit(() => new DistilBertForMaskedLM(device, tiny({ tie_word_embeddings: false })));
  expect(model.tiedKeys()).toEqual([]);
  expect(model.vocab_projector.weight).not.toBe(model.distilbert.embeddings.word_embeddings.weight);
});
