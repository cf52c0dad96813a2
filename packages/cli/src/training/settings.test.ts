import { TRAINING_ARGUMENT_NAMES } from "@wgrad/trainer";
import { describe, expect, it } from "vitest";
import { UsageError } from "../errors.js";
import { flagOf, makeRecipe, parseValue, recipeToJson, SETTINGS, settingsFromJson } from "./settings.js";

describe("settings", () => {
  it("has a flag for each training argument", () => {
    const names = SETTINGS.map(({ name }) => name);
    for (const name of TRAINING_ARGUMENT_NAMES) expect(names).toContain(name);
    expect(new Set(names).size).toBe(names.length);
    expect(flagOf("perDeviceTrainBatchSize")).toBe("--per-device-train-batch-size");
    expect(flagOf("adamBeta1")).toBe("--adam-beta1");
  });

  it("reads what it writes", () => {
    const recipe = makeRecipe({ model: "m", dataset: "d/e.parquet", learningRate: 1e-3, subset: 8 });
    expect(recipe.args.outputDir).toBe("runs/m-e");
    const json = recipeToJson(recipe);
    expect(json).toMatchObject({
      model: "m",
      learning_rate: 1e-3,
      padding_free: true,
      eval_strategy: "epoch",
    });
    expect(makeRecipe(settingsFromJson(json, "recipe.yaml"))).toEqual(recipe);
  });

  it.each([
    [{ lerning_rate: 1 }, /Did you mean learning_rate/],
    [{ learning_rate: "fast" }, /expected a number/],
    [{ dataloader_drop_last: 1 }, /expected a boolean/],
  ])("refuses %j", (json, message) => {
    expect(() => settingsFromJson(json, "recipe.yaml")).toThrow(UsageError);
    expect(() => settingsFromJson(json, "recipe.yaml")).toThrow(message);
  });

  it("reads flags by their kind", () => {
    const setting = (name: string) => SETTINGS.find((s) => s.name === name)!;
    expect(parseValue(setting("learningRate"), "5e-5")).toBe(5e-5);
    expect(parseValue(setting("dataloaderDropLast"), "true")).toBe(true);
    expect(parseValue(setting("lrSchedulerKwargs"), '{"num_cycles": 2}')).toEqual({ num_cycles: 2 });
    expect(() => parseValue(setting("maxSteps"), "")).toThrow(/not a number/);
    expect(() => parseValue(setting("dataloaderDropLast"), "yes")).toThrow(/true or false/);
  });

  it("refuses a length that is no whole number", () => {
    expect(() => makeRecipe({ model: "m", dataset: "d", maxLength: 1.5 })).toThrow(/--max-length/);
  });
});
