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

  it("reads lists and switches from flags and files alike", () => {
    const setting = (name: string) => SETTINGS.find((s) => s.name === name)!;
    expect(parseValue(setting("reportTo"), "tensorboard, wandb")).toEqual(["tensorboard", "wandb"]);
    expect(settingsFromJson({ report_to: "tensorboard" }, "recipe.yaml")).toEqual({
      reportTo: ["tensorboard"],
    });
    expect(settingsFromJson({ report_to: ["wandb"] }, "recipe.yaml")).toEqual({ reportTo: ["wandb"] });
    expect(parseValue(setting("includeNumInputTokensSeen"), "true")).toBe(true);
    expect(parseValue(setting("includeNumInputTokensSeen"), "all")).toBe("all");
    expect(() => settingsFromJson({ report_to: [1] }, "recipe.yaml")).toThrow(/a list of names/);
  });

  it("puts every setting under a heading", () => {
    for (const { name, group } of SETTINGS) expect(group, name).toMatch(/:$/);
  });

  it("does not save where a run went on from", () => {
    const recipe = makeRecipe({ model: "m", dataset: "org/d:x@main", resumeFromCheckpoint: "c" });
    expect(recipeToJson(recipe)).not.toHaveProperty("resume_from_checkpoint");
    expect(recipe.args.outputDir).toBe("runs/m-d-x-main");
  });

  it.each([
    [{ validationSize: 0 }, /--validation-size is 0/],
    [{ testSize: 2.5 }, /--test-size is 2.5/],
    [{ earlyStoppingPatience: 0 }, /--early-stopping-patience is 0/],
    [{ earlyStoppingPatience: 1, evalStrategy: "no" }, /needs evaluations/],
  ])("refuses %j", (given, message) => {
    expect(() => makeRecipe({ model: "m", dataset: "d", ...given })).toThrow(UsageError);
    expect(() => makeRecipe({ model: "m", dataset: "d", ...given })).toThrow(message);
  });

  it("refuses a length that is no whole number", () => {
    expect(() => makeRecipe({ model: "m", dataset: "d", maxLength: 1.5 })).toThrow(/--max-length/);
  });
});
