import { describe, expect, it } from "vitest";
import { ReduceLROnPlateau } from "./reduce-lr-on-plateau.js";
import { getScheduler, type ScheduleOptions, type SchedulerType } from "./schedules.js";

// Rates of transformers 5's get_scheduler, three steps past the end.
const CASES: [SchedulerType, number, number, Partial<ScheduleOptions>, number[]][] = [
  [
    "cosine_with_min_lr",
    3,
    12,
    { minLr: 1e-5 },
    [
      0.0, 0.00016666666666666666, 0.0003333333333333333, 0.0005, 0.0004852246920925475,
      0.0004426808885641496, 0.0003775, 0.000297543803528398, 0.0002124561964716021, 0.00013250000000000008,
      6.731911143585041e-5, 2.4775307907452464e-5, 1e-5, 2.4775307907452436e-5, 6.731911143585039e-5,
    ],
  ],
  [
    "cosine_with_min_lr",
    0,
    6,
    { minLrRate: 0.1, numCycles: 1.5 },
    [
      0.0005, 0.000275, 5e-5, 0.00027499999999999996, 0.0005, 0.00027500000000000007, 5e-5,
      0.0002749999999999999, 0.0005,
    ],
  ],
  [
    "cosine_warmup_with_min_lr",
    3,
    12,
    { minLrRate: 0.1 },
    [
      0.00016666666666666666, 0.0003333333333333333, 0.0005, 0.00048643083967682936, 0.00044735999970177,
      0.00038750000000000004, 0.00031407083997505935, 0.00023592916002494068, 0.00016250000000000007,
      0.00010264000029822998, 6.356916032317063e-5, 5e-5, 6.35691603231706e-5, 0.00010264000029822995,
      0.00016249999999999994,
    ],
  ],
  [
    "cosine_warmup_with_min_lr",
    3,
    8,
    { minLr: 1e-5, warmupLrRate: 0.2 },
    [
      0.0001, 0.00030000000000000003, 0.0005, 0.00045320916362186214, 0.00033070916362186215,
      0.00017929083637813792, 5.67908363781379e-5, 1e-5, 5.679083637813785e-5, 0.00017929083637813786,
      0.0003307091636218621,
    ],
  ],
  [
    "warmup_stable_decay",
    2,
    12,
    { numDecaySteps: 4 },
    [
      0.0, 0.00025, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.0005, 0.00042677669529663686, 0.00025,
      7.322330470336314e-5, 0.0, 0.0, 0.0,
    ],
  ],
  [
    "warmup_stable_decay",
    3,
    12,
    { numDecaySteps: 4, numStableSteps: 3, warmupType: "cosine", decayType: "linear", minLrRatio: 0.1 },
    [
      5e-5, 0.0001625, 0.0003875, 0.0005, 0.0005, 0.0005, 0.0005, 0.00038750000000000004, 0.000275,
      0.00016250000000000002, 5e-5, 5e-5, 5e-5, 5e-5, 5e-5,
    ],
  ],
  [
    "warmup_stable_decay",
    3,
    10,
    { numDecaySteps: 4, warmupType: "1-sqrt", decayType: "1-sqrt", minLrRatio: 0.2 },
    [
      0.0001, 0.0001734013676289096, 0.00026905989232414967, 0.0005, 0.0005, 0.0005, 0.0005,
      0.00030000000000000003, 0.000217157287525381, 0.00015358983848622458, 0.0001, 0.0001, 0.0001,
    ],
  ],
];

describe("schedules", () => {
  it.each(CASES)(
    "%s, %i of %i steps, as transformers",
    (name, numWarmupSteps, numTrainingSteps, more, want) => {
      const rate = getScheduler(name, { lr: 5e-4, numWarmupSteps, numTrainingSteps, ...more });
      want.forEach((w, step) => {
        expect(Math.abs(rate(step) - w), `step ${step}`).toBeLessThan(1e-15);
      });
    },
  );

  it("says what a schedule lacks", () => {
    const make =
      (name: SchedulerType, more = {}) =>
      () =>
        getScheduler(name, { lr: 1, numTrainingSteps: 10, ...more });
    expect(make("cosine_with_min_lr")).toThrow("one of minLr and minLrRate");
    expect(make("warmup_stable_decay")).toThrow("numDecaySteps is missing");
    expect(make("warmup_stable_decay", { numDecaySteps: 2, decayType: "log" })).toThrow(
      "linear, cosine, 1-sqrt",
    );
  });
});

describe("ReduceLROnPlateau", () => {
  const metrics = [1, 0.9, 0.91, 0.92, 0.93, 0.8, 0.81, 0.82, 0.83, 0.84, 0.85, 0.86];
  const want = [
    0.0005, 0.0005, 0.0005, 0.00025, 0.00025, 0.00025, 0.00025, 0.000125, 0.000125, 0.000125, 0.0001, 0.0001,
  ];
  const make = () => new ReduceLROnPlateau(5e-4, { factor: 0.5, patience: 1, cooldown: 1, minLr: 1e-4 });

  it("lowers the rate as PyTorch's, also after a state was loaded", () => {
    const whole = make();
    expect(metrics.map((metric) => whole.step(metric))).toEqual(want);
    const first = make();
    for (const metric of metrics.slice(0, 6)) first.step(metric);
    const second = make();
    second.loadStateDict(JSON.parse(JSON.stringify(first.stateDict())));
    expect(metrics.slice(6).map((metric) => second.step(metric))).toEqual(want.slice(6));
  });
});
