import { describe, expect, it } from "vitest";
import { trainingArguments, trainingArgumentsFromJson } from "./check-arguments.js";
import { type TrainingArguments, trainingArgumentsToJson } from "./training-arguments.js";

const make = (given: object) => () => trainingArguments(given as Partial<TrainingArguments>);
const fromJson = (json: object) => () => trainingArgumentsFromJson(json as Record<string, unknown>);

describe("trainingArguments", () => {
  it("says which value is out of range", () => {
    expect(make({ loggingSteps: 1.5 })).toThrow("a share of all steps between 0 and 1");
    expect(make({ optim: "lion" })).toThrow("one of adamw_torch");
    expect(make({ labelSmoothingFactor: 1 })).toThrow("below 1");
    expect(make({ includeForMetrics: ["logits"] })).toThrow("a list of inputs, loss");
    expect(make({ fp16: "yes" })).toThrow("true or false");
    expect(make({ dataloaderPrefetchFactor: 0 })).toThrow("whole number from 1 on");
    expect(make({ reportTo: "tensorboard" })).toThrow("a list of names");
  });

  it("says which values are at odds", () => {
    expect(make({ saveStrategy: "best" })).toThrow("needs evaluations");
    expect(make({ lrSchedulerType: "reduce_lr_on_plateau" })).toThrow("needs evaluations");
    expect(make({ groupByLength: true, trainSamplingStrategy: "sequential" })).toThrow("groupByLength");
    const steps = { loadBestModelAtEnd: true, evalStrategy: "steps", saveStrategy: "steps" };
    expect(make({ ...steps, evalSteps: 4, saveSteps: 6 })).toThrow("a multiple of evalSteps");
    expect(make({ ...steps, evalSteps: 3, saveSteps: 6 })).not.toThrow();
    expect(make({ ...steps, evalSteps: 0.1, saveSteps: 0.3 })).not.toThrow();
    expect(make({ evalStrategy: "epoch", saveStrategy: "best", loadBestModelAtEnd: true })).not.toThrow();
    expect(trainingArguments({ groupByLength: true }).trainSamplingStrategy).toBe("group_by_length");
  });
});

describe("trainingArgumentsFromJson", () => {
  it("takes what it wrote, and Python's forms of the same", () => {
    const args = trainingArguments({ learningRate: 1e-3, warmupRatio: 0.1, reportTo: ["jsonl"] });
    expect(trainingArgumentsFromJson(JSON.parse(JSON.stringify(trainingArgumentsToJson(args))))).toEqual(
      args,
    );
    const python = {
      report_to: "none",
      lr_scheduler_kwargs: null,
      greater_is_better: null,
      warmup_ratio: null,
    };
    expect(trainingArgumentsFromJson(python)).toEqual(trainingArguments());
    expect(trainingArgumentsFromJson({ report_to: "tensorboard" }).reportTo).toEqual(["tensorboard"]);
  });

  it("leaves out what changes nothing here, and says so", () => {
    const told: string[] = [];
    const args = trainingArgumentsFromJson(
      {
        ddp_backend: "nccl",
        dataloader_pin_memory: true,
        push_to_hub: false,
        bf16: false,
        seed: 3,
        fsdp: "",
      },
      { onIgnored: (message) => told.push(message) },
    );
    expect(args).toEqual(trainingArguments({ seed: 3 }));
    expect(told).toEqual([
      "ddp_backend is left out: training runs on one device in one process.",
      expect.stringContaining("dataloader_pin_memory is left out"),
    ]);
  });

  it("refuses what would change the training", () => {
    expect(fromJson({ bf16: true })).toThrow("WebGPU has no bf16");
    expect(fromJson({ push_to_hub: true })).toThrow("nothing is uploaded");
    expect(fromJson({ neftune_noise_alpha: 5 })).toThrow("neftune_noise_alpha is 5");
    expect(fromJson({ learning_rat: 1 })).toThrow("Did you mean learningRate?");
    expect(make({ ddpBackend: "nccl" })).toThrow('"ddpBackend" has no meaning here');
  });
});
