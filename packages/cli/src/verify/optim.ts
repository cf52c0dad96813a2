import { join } from "node:path";
import {
  Adafactor,
  type AdafactorOptions,
  Adam,
  type AdamOptions,
  AdamW,
  clipGradNorm_,
  type Device,
  getScheduler,
  type ParamGroup,
  type SchedulerType,
  SGD,
  type SGDOptions,
  Tensor,
} from "@wgrad/tensor";
import { fromSnakeCase } from "@wgrad/trainer";
import { type ReportRow, rowOf, runCase, type Tolerance } from "./compare.js";
import { readCases, StoredTensors } from "./files.js";

interface OptimIndex {
  file: string;
  steps: number;
  params: Record<string, number[]>;
  runs: {
    name: string;
    attrs: Record<string, unknown> & { optimizer: string };
    groups?: (Record<string, unknown> & { params: string[] })[] | null;
    lr_per_step?: number[] | null;
    tol: Tolerance;
  }[];
  clip: { name: string; max_norm: number; norm_type: number | "inf" }[];
}

interface Schedules {
  schedules: {
    name: SchedulerType;
    num_warmup_steps: number;
    num_training_steps: number;
    kwargs: Record<string, number>;
    base_lr: number;
    lr: number[];
  }[];
}

/** Any optimizer, as the cases drive it. */
interface AnyOptimizer {
  readonly paramGroups: { params: Tensor[]; lr: number | null }[];
  step(): void;
  zeroGrad(): void;
  dispose(): void;
}

type Options = Record<string, unknown>;

/** Python's argument names as ours. */
function optionsOf(attrs: Readonly<Record<string, unknown>>): Options {
  const { optimizer: _name, params: _params, ...rest } = attrs;
  return Object.fromEntries(Object.entries(rest).map(([key, value]) => [fromSnakeCase(key), value]));
}

function makeOptimizer(
  name: string,
  groups: (Options & { params: Tensor[] })[],
  options: Options,
): AnyOptimizer {
  switch (name.split(" ")[0]) {
    case "SGD":
      return new SGD(groups as ParamGroup<SGDOptions>[], options as Partial<SGDOptions>);
    case "Adam":
      return new Adam(groups as ParamGroup<AdamOptions>[], options as Partial<AdamOptions>);
    case "AdamW":
      return new AdamW(groups as ParamGroup<AdamOptions>[], options as Partial<AdamOptions>);
    case "Adafactor":
      return new Adafactor(groups as ParamGroup<AdafactorOptions>[], options as Partial<AdafactorOptions>);
    default:
      throw new Error(`this version has no optimizer ${name}.`);
  }
}

/** Runs of the optimizers, gradient clipping and the schedules, against PyTorch and transformers. */
export async function verifyOptim(
  device: Device,
  folder: string,
  onRow: (row: ReportRow) => void,
): Promise<void> {
  const index = await readCases<OptimIndex>(join(folder, "index.json"));
  const stored = await StoredTensors.open(join(folder, index.file));
  for (const run of index.runs) {
    const result = await runCase(run.name, async (check) => {
      const parameters = new Map(
        Object.entries(index.params).map(([name, shape]) => [
          name,
          Tensor.from(device, stored.floats(`p0.${name}`), shape, { requiresGrad: true }),
        ]),
      );
      const groups = (run.groups ?? [{ params: [...parameters.keys()] }]).map((group) => ({
        ...optionsOf(group),
        params: group.params.map((name) => parameters.get(name)!),
      }));
      const optimizer = makeOptimizer(run.attrs.optimizer, groups, optionsOf(run.attrs));
      for (let step = 0; step < index.steps; step++) {
        const rate = run.lr_per_step?.[step];
        if (rate !== undefined) for (const group of optimizer.paramGroups) group.lr = rate;
        for (const [name, parameter] of parameters) {
          const count = parameter.numel;
          const values = stored.floats(`grads.${name}`).slice(step * count, (step + 1) * count);
          parameter.grad = Tensor.from(device, values, parameter.shape);
        }
        optimizer.step();
        optimizer.zeroGrad();
        for (const [name, parameter] of parameters) {
          const count = parameter.numel;
          const want = stored.floats(`${run.name}.${name}`).subarray(step * count, (step + 1) * count);
          check.close(
            `${name} after step ${step + 1}`,
            (await parameter.toArray()) as Float32Array,
            want,
            run.tol,
          );
        }
      }
      optimizer.dispose();
      for (const parameter of parameters.values()) parameter.dispose();
    });
    onRow(rowOf("optim", run.name, [result]));
  }
  const clips = [];
  for (const { name, max_norm, norm_type } of index.clip)
    clips.push(await verifyClip(device, stored, name, max_norm, norm_type));
  onRow(rowOf("optim", "clip_grad_norm_", clips));
  for (const row of await verifySchedules(join(folder, "schedules.json"))) onRow(row);
}

function verifyClip(
  device: Device,
  stored: StoredTensors,
  name: string,
  maxNorm: number,
  normType: number | "inf",
) {
  return runCase(name, async (check) => {
    const tolerance = { rtol: 1e-5, atol: 0 };
    const prefix = `${name}.in.`;
    const names = stored.names.filter((n) => n.startsWith(prefix)).map((n) => n.slice(prefix.length));
    const parameters = names.map((n) => {
      const shape = stored.shape(prefix + n);
      const parameter = Tensor.zeros(device, shape).requiresGrad_();
      parameter.grad = Tensor.from(device, stored.floats(prefix + n), shape);
      return parameter;
    });
    const norm = clipGradNorm_(parameters, maxNorm, normType === "inf" ? Number.POSITIVE_INFINITY : normType);
    check.close("norm", [await norm.item()], stored.floats(`${name}.norm`), tolerance);
    for (const [i, n] of names.entries()) {
      const got = (await parameters[i]!.grad!.toArray()) as Float32Array;
      check.close(n, got, stored.floats(`${name}.out.${n}`), tolerance);
    }
    norm.dispose();
    for (const parameter of parameters) {
      parameter.grad?.dispose();
      parameter.dispose();
    }
  });
}

async function verifySchedules(path: string): Promise<ReportRow[]> {
  const { schedules } = await readCases<Schedules>(path);
  const byName = new Map<string, Awaited<ReturnType<typeof runCase>>[]>();
  for (const one of schedules) {
    const title = `warm-up ${one.num_warmup_steps} of ${one.num_training_steps} ${JSON.stringify(one.kwargs)}`;
    const result = await runCase(title, (check) => {
      const rate = getScheduler(one.name, {
        lr: one.base_lr,
        numWarmupSteps: one.num_warmup_steps,
        numTrainingSteps: one.num_training_steps,
        ...optionsOf(one.kwargs),
      });
      check.close(
        "lr",
        one.lr.map((_, step) => rate(step)),
        one.lr,
        { rtol: 1e-9, atol: 1e-15 },
      );
    });
    byName.set(one.name, [...(byName.get(one.name) ?? []), result]);
  }
  return [...byName].map(([name, results]) => rowOf("optim", `schedule ${name}`, results));
}
