import { describe, expect, it } from "vitest";
import { CaseChecker, rowOf, runCase } from "./compare.js";
import { ruleValues } from "./rule.js";

describe("comparing", () => {
  const tolerance = { rtol: 0, atol: 0.1 };

  it("passes within the tolerance and finds the largest error", () => {
    const check = new CaseChecker("c");
    check.close("x", [1, 2, Number.POSITIVE_INFINITY], [1.05, 2, Number.POSITIVE_INFINITY], tolerance);
    expect(check.result()).toMatchObject({ outcome: "passed", largestErrorAt: "x" });
    expect(check.result().largestError).toBeCloseTo(0.05);
  });

  it("allows an element more where it is given more", () => {
    const check = new CaseChecker("c");
    check.close("x", [1, 2.5], [1, 2], tolerance, [0, 0.5]);
    expect(check.result().outcome).toBe("passed");
    check.close("x", [1.5, 2], [1, 2], tolerance, [0, 0.5]);
    expect(check.result().outcome).toBe("failed");
  });

  it.each([
    ["a value too far off", [1, 3], [1, 2]],
    ["NaN", [Number.NaN], [0]],
    ["infinity for a number", [Number.POSITIVE_INFINITY], [0]],
    ["another number of values", [1], [1, 2]],
  ])("fails for %s", (_, got, want) => {
    const check = new CaseChecker("c");
    check.close("x", got, want, tolerance);
    expect(check.result().outcome).toBe("failed");
  });

  it("counts an error as a failure", async () => {
    const broken = await runCase("broken", () => {
      throw new Error("no such thing");
    });
    const row = rowOf("set", "name", [broken, await runCase("fine", () => {})]);
    expect(row).toMatchObject({ passed: 1, failed: 1, skipped: 0, messages: ["broken: no such thing"] });
  });
});

describe("weights from the rule", () => {
  it.each([
    ["distilbert.embeddings.word_embeddings.weight", 0.029087502509355545, 0.009163504466414452],
    ["distilbert.transformer.layer.0.attention.q_lin.bias", 0.004279057960957289, 0.0025135993491858244],
    ["distilbert.transformer.layer.5.output_layer_norm.weight", 0.925591766834259, 1.0753446817398071],
    ["classifier.weight", 0.015953440219163895, -0.04926665499806404],
    ["vision_model.pre_layrnorm.weight", 0.9959837794303894, 1.0399564504623413],
    ["visual_projection.weight", 0.0026481212116777897, 0.0253030713647604],
    ["logit_scale", Math.fround(2.6592), Math.fround(2.6592)],
  ])("%s", (name, first, second) => {
    expect([...ruleValues(name, 2)]).toEqual([first, second]);
  });
});
