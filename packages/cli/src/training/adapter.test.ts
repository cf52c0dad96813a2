import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { PeftModel } from "@wgrad/peft";
import { skipInit } from "@wgrad/tensor";
import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import { withDevice } from "../device.js";
import { UsageError } from "../errors.js";
import { readAdapterConfig, withAdapter } from "./adapter.js";
import { makeRecipe, settingsFromJson } from "./settings.js";

const recipes = resolve(import.meta.dirname, "../../../../recipes");
const recipe = (given: Record<string, unknown>) =>
  makeRecipe({ model: "m", dataset: "d", ...given }).settings;

describe("adapters in recipes", () => {
  it("of the lab train as many parameters of DistilBERT-base as in PEFT", async () => {
    const { lab: _lab, ...keys } = parse(readFileSync(resolve(recipes, "lora.yaml"), "utf8"));
    const { settings } = makeRecipe(settingsFromJson(keys, "lora.yaml"));
    // The null backend holds the model and computes nothing.
    await withDevice({ dawnFlags: ["backend=null"] }, async (device) => {
      const model = skipInit(() => new DistilBertForSequenceClassification(device, distilBertConfig()));
      const adapted = withAdapter(model, settings.peft, "distilbert-base-uncased") as PeftModel;
      expect(adapted).toBeInstanceOf(PeftModel);
      const lines: string[] = [];
      adapted.printTrainableParameters((line) => lines.push(line));
      expect(lines).toEqual(["trainable params: 887,042 || all params: 67,842,052 || trainable%: 1.3075"]);
      adapted.dispose();
    });
  });

  it("come from the mapping peft and from flags, which win", () => {
    expect(recipe({}).peft).toBeNull();
    expect(recipe({ peft: { r: 4, lora_alpha: 8 }, loraR: 2, loraTargetModules: ["ffn.lin1"] }).peft).toEqual(
      {
        peft_type: "LORA",
        task_type: "SEQ_CLS",
        target_modules: ["ffn.lin1"],
        r: 2,
        lora_alpha: 8,
      },
    );
    expect(recipe({ loraTargetModules: [".*lin[12]"] }).peft?.target_modules).toBe(".*lin[12]");
    expect(recipe({ useDora: true }).peft).toMatchObject({ use_dora: true });
  });

  it("may be of another method", () => {
    const peft = { peft_type: "IA3", target_modules: ["k_lin"], feedforward_modules: [] };
    expect(recipe({ peft }).peft).toEqual({ task_type: "SEQ_CLS", ...peft });
  });

  it.each([
    [{ lora_alhpa: 4 }, /"lora_alhpa" is no setting of LORA. Did you mean lora_alpha\?/],
    [{ peft_type: "LORAX" }, /LORA/],
    [{ r: 0 }, /\br\b is 0/],
    [{ target_modules: [1] }, /target/i],
  ])("refuse %j", (peft, message) => {
    expect(() => recipe({ peft })).toThrow(UsageError);
    expect(() => recipe({ peft })).toThrow(message);
  });

  it("have no keys of their own beside the mapping", () => {
    expect(() => settingsFromJson({ lora_r: 4 }, "recipe.yaml")).toThrow(/unknown key "lora_r"/);
    expect(() => readAdapterConfig({ peft_type: "LORA", r: "4" }, "peft")).toThrow(UsageError);
  });
});
