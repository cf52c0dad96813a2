import { describe, expect, it } from "vitest";
import { type LoraConfig, loraConfig, loraConfigFromJson, loraConfigToJson } from "./lora/config.js";
import { type PeftConfigInput, peftConfig, peftConfigFromJson, peftConfigToJson } from "./peft-config.js";

const code = (body: () => unknown): unknown => {
  try {
    body();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  return undefined;
};

describe("LoraConfig", () => {
  it("has PEFT's defaults", () => {
    expect(loraConfig()).toMatchObject({
      r: 8,
      loraAlpha: 8,
      loraDropout: 0,
      bias: "none",
      initLoraWeights: true,
      useRslora: false,
      taskType: null,
      targetModules: null,
    });
    expect(Object.isFrozen(loraConfig())).toBe(true);
  });

  it("names the nearest setting for one it does not know", () => {
    const wrong = { lora_alpha: 16 } as Partial<LoraConfig>;
    expect(() => loraConfig(wrong)).toThrow('"lora_alpha" is not a setting. Did you mean loraAlpha?');
    expect(code(() => loraConfig(wrong))).toBe("E_CONFIG_UNKNOWN");
  });

  it.each<[Partial<LoraConfig>, RegExp]>([
    [{ r: 0 }, /r is 0, expected a whole number from 1 on/],
    [{ r: 1.5 }, /r is 1\.5/],
    [{ loraAlpha: Number.NaN }, /loraAlpha/],
    [{ loraDropout: 1 }, /loraDropout is 1, expected a number from 0 on and under 1/],
    [{ bias: "some" as LoraConfig["bias"] }, /bias is "some", expected one of none, lora_only, all/],
    [{ taskType: "CLS" as LoraConfig["taskType"] }, /taskType is "CLS", expected null or one of SEQ_CLS/],
    [{ initLoraWeights: "kaiming" as "gaussian" }, /initLoraWeights is "kaiming"/],
    [{ targetModules: "(q_lin" }, /targetModules has "\(q_lin", which is not a regular expression/],
    [{ rankPattern: { q_lin: 0 } }, /rankPattern/],
  ])("refuses %j", (given, message) => {
    expect(() => loraConfig(given)).toThrow(message);
    expect(code(() => loraConfig(given))).toBe("E_CONFIG_VALUE");
  });

  it("comes back from PEFT's JSON as it went in", () => {
    const config = loraConfig({
      r: 4,
      loraAlpha: 16,
      targetModules: ["q_lin", "v_lin"],
      modulesToSave: ["classifier"],
      rankPattern: { "layer.0.q_lin": 2 },
      useRslora: true,
      taskType: "SEQ_CLS",
      baseModelNameOrPath: "distilbert-base-uncased",
    });
    const json = loraConfigToJson(config);
    expect(json).toMatchObject({
      peft_type: "LORA",
      lora_alpha: 16,
      use_rslora: true,
      rank_pattern: { "layer.0.q_lin": 2 },
      base_model_name_or_path: "distilbert-base-uncased",
    });
    expect(Object.keys(json)).toEqual(Object.keys(json).sort());
    expect(loraConfigFromJson(JSON.parse(JSON.stringify(json)))).toEqual(config);
  });

  it("refuses what would change the result unseen, and another method", () => {
    const json = loraConfigToJson(loraConfig({ targetModules: ["q_lin"] }));
    const idle = {
      ...json,
      use_dora: false,
      loftq_config: {},
      megatron_core: "megatron.core",
      peft_version: "9",
    };
    expect(loraConfigFromJson(idle).targetModules).toEqual(["q_lin"]);
    expect(() => loraConfigFromJson({ ...json, use_qalora: true }, "a/adapter_config.json")).toThrow(
      /^a\/adapter_config\.json: use_qalora is true, which this version cannot follow/,
    );
    expect(() => loraConfigFromJson({ ...json, layer_replication: [[0, 1]] })).toThrow(
      /layer_replication is/,
    );
    expect(() => loraConfigFromJson({ ...json, peft_type: "IA3" })).toThrow(/peft_type is "IA3"/);
    expect(() => loraConfigFromJson({ ...json, r: -1 }, "b.json")).toThrow(/^b\.json: LoraConfig: r is -1/);
  });
});

describe("settings of any method", () => {
  it.each<PeftConfigInput>([
    { targetModules: ["q_lin"], useDora: true, layersToTransform: [1], layersPattern: "layer" },
    { peftType: "IA3", targetModules: ["k_lin", "lin2"], feedforwardModules: ["lin2"], taskType: "SEQ_CLS" },
    { peftType: "PROMPT_TUNING", numVirtualTokens: 20, tokenDim: 768, numLayers: 6, numAttentionHeads: 12 },
  ])("come back from PEFT's JSON as they went in: %j", (given) => {
    const config = peftConfig(given);
    const json = JSON.parse(JSON.stringify(peftConfigToJson(config)));
    expect(json.peft_type).toBe(given.peftType ?? "LORA");
    expect(peftConfigFromJson(json)).toEqual(config);
  });

  it("are read with PEFT's defaults where they are left out, and with what it repeats or writes beside", () => {
    expect(peftConfigFromJson({ peft_type: "LORA", r: 4, target_modules: ["q_lin"] })).toMatchObject({
      r: 4,
      loraAlpha: 8,
      loraDropout: 0,
    });
    const prompt = {
      peft_type: "PROMPT_TUNING",
      num_virtual_tokens: 4,
      prompt_tuning_init: "TEXT",
      prompt_tuning_init_text: "Is it good?",
      tokenizer_name_or_path: "bert",
      tokenizer_kwargs: null,
      peft_version: "0.21.2",
    };
    expect(peftConfigFromJson(prompt)).toMatchObject({ numVirtualTokens: 4, promptTuningInit: "RANDOM" });
  });

  it.each<[Record<string, unknown>, RegExp]>([
    [{}, /^a\.json: peft_type is null; this version knows LORA, IA3, PROMPT_TUNING/],
    [{ peft_type: "lora" }, /Did you mean LORA\?/],
    [
      { peft_type: "PREFIX_TUNING" },
      /encoders such as DistilBERT do not take .* PROMPT_TUNING trains vectors/,
    ],
    [
      { peft_type: "LORA", init_lora_weights: "pissa_niter_4" },
      /initLoraWeights "pissa_niter_4" starts from a decomposition/,
    ],
    [{ peft_type: "LORA", init_lora_weights: "olora" }, /initLoraWeights "olora"/],
    [
      { peft_type: "LORA", layers_pattern: "layer" },
      /layersPattern is "layer", expected null without layersToTransform/,
    ],
    [
      { peft_type: "LORA", target_modules: ".*q", layers_to_transform: 1 },
      /let the expression name the layers/,
    ],
    [{ peft_type: "LORA", layers_to_transform: [-1] }, /layersToTransform is \[-1\]/],
    [
      { peft_type: "IA3", target_modules: ["k_lin"], feedforward_modules: ["lin2"] },
      /feedforwardModules is \["lin2"\], expected names that are among targetModules/,
    ],
    [{ peft_type: "PROMPT_TUNING", num_virtual_tokens: 0 }, /numVirtualTokens is 0/],
    [
      { peft_type: "PROMPT_TUNING", num_virtual_tokens: 2, num_transformer_submodules: 2 },
      /numTransformerSubmodules/,
    ],
  ])("are refused by name: %j", (json, message) => {
    expect(() => peftConfigFromJson(json, "a.json")).toThrow(message);
  });
});
