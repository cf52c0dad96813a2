/** Run folders for tests of what reads them: figures are made up, but shaped as those of a real run. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { stringify } from "yaml";
import { type Prediction, type RunMetrics, writeMetrics, writePredictions } from "../runs/run-folder.js";

/** What {@link sampleRun} varies. */
export interface SampleOptions {
  /** Default 3; 0 for a run that was stopped before the end of its first. */
  epochs?: number;
  classes?: number;
  examples?: number;
  learningRate?: number;
  hasValidation?: boolean;
  hasTest?: boolean;
  /** Texts that replace the first ones. */
  texts?: readonly string[];
  /** Names of the classes. */
  labels?: readonly string[];
  metrics?: Partial<RunMetrics>;
  recipe?: Record<string, unknown>;
}

/** Text that a page must not take for its own. */
export const HOSTILE = `<script>window.broken = true</script><img src=x onerror="window.broken = true"> & "quotes" 'too' {{title}} $& `;

/** Writes a run into a folder. */
export async function sampleRun(folder: string, options: SampleOptions = {}): Promise<void> {
  const { epochs = 3, classes = 2, examples = 200, learningRate = 5e-5 } = options;
  const { hasValidation = true, hasTest = true } = options;
  const random = generator(classes * 7919 + Math.round(learningRate * 1e6));
  const labels =
    options.labels ??
    (classes === 2 ? ["neg", "pos"] : Array.from({ length: classes }, (_, i) => `class ${i}`));
  const stepsOfEpoch = 534;
  const steps = Math.max(200, epochs * stepsOfEpoch);
  await mkdir(folder, { recursive: true });
  const log: Record<string, number>[] = [];
  const rows: Record<string, number>[] = [];
  for (let next = 10; next < steps + 10; next += 10) {
    const step = Math.min(next, steps);
    const epoch = step / stepsOfEpoch;
    log.push({
      loss: 0.15 + 0.55 * Math.exp(-step / 500) + 0.12 * (random() - 0.5),
      grad_norm: 0.5 + 3 * random() * Math.exp(-step / 800),
      learning_rate:
        learningRate * Math.min(step / 500, Math.max(0, (steps - step) / Math.max(1, steps - 500))),
      epoch,
      step,
    });
    const whole = Math.floor(epoch);
    if (whole < 1 || whole <= rows.length) continue;
    const accuracy = [0.786, 0.833, 0.828][(whole - 1) % 3]!;
    const loss = [0.46, 0.39, 0.43][(whole - 1) % 3]!;
    const evaluation = {
      eval_loss: loss,
      eval_accuracy: accuracy,
      eval_f1: accuracy - 0.001,
      eval_precision: accuracy + 0.002,
      eval_recall: accuracy,
    };
    if (hasValidation) log.push({ ...evaluation, epoch: whole, step: whole * stepsOfEpoch });
    rows.push({
      epoch: whole,
      train_loss: 0.6 - 0.15 * whole,
      seconds: 720 + whole,
      ...(hasValidation
        ? { eval_loss: loss, accuracy, f1: accuracy - 0.001, precision: accuracy + 0.002, recall: accuracy }
        : {}),
    });
  }
  const predictions = (offset: number) =>
    Array.from({ length: examples }, (_, i): Prediction => {
      const label = (i + offset) % classes;
      const logits = Array.from(
        { length: classes },
        (_, c) => (c === label ? 2 : 0) + 4.6 * (random() - 0.5),
      );
      const prediction = logits.indexOf(Math.max(...logits));
      const sum = logits.reduce((total, z) => total + Math.exp(z), 0);
      const text =
        options.texts?.[i] ??
        `a film about ${["love", "cars", "a dog", "the sea"][i % 4]} that is ${label === 0 ? "dull" : "a quiet joy"}, number ${i}`;
      return { text, label, prediction, logits, loss: Math.log(sum) - logits[label]! };
    });
  const onTest = predictions(1);
  const accuracy = onTest.filter(({ label, prediction }) => label === prediction).length / examples;
  const best = rows[1] ?? rows[0];
  const metrics: RunMetrics = {
    lab: "finetune",
    interrupted: false,
    output_dir: folder,
    global_step: steps,
    epochs: rows,
    validation:
      hasValidation && rows.length > 0
        ? { eval_loss: 0.43, eval_accuracy: 0.828, eval_f1: 0.827, epoch: epochs, step: steps }
        : null,
    test: hasTest ? { test_loss: 0.4, test_accuracy: accuracy, test_f1: accuracy - 0.0004 } : null,
    training: {
      train_loss: 0.37,
      train_runtime: 2161,
      train_samples_per_second: 11.8,
      seconds_per_step: 1.32,
      tokens_seen: 640_000,
      peak_memory_live_bytes: 1.1e9,
      peak_memory_bytes: 1.26e9,
      peak_resident_bytes: 1.9e9,
    },
    parameters: { trainable: 22_713_602, all: 22_713_602 },
    best:
      hasValidation && best
        ? { step: best.epoch! * stepsOfEpoch, epoch: best.epoch!, metric: "accuracy", value: best.accuracy! }
        : null,
    labels: [...labels],
    machine: { adapter: "llvmpipe (LLVM 19.1, 256 bits)", platform: "linux-x64", cpus: 2, node: "20.20.2" },
    ...options.metrics,
  };
  const recipe = {
    lab: "finetune",
    model: "models/minilm-distilbert",
    dataset: "data/rotten_tomatoes",
    output_dir: folder,
    num_train_epochs: epochs,
    per_device_train_batch_size: 16,
    learning_rate: learningRate,
    weight_decay: 0.01,
    warmup_steps: 500,
    lr_scheduler_type: "linear",
    max_length: 128,
    seed: 42,
    ...options.recipe,
  };
  await writeFile(join(folder, "recipe.yaml"), stringify(recipe));
  await writeFile(join(folder, "log.jsonl"), log.map((entry) => `${JSON.stringify(entry)}\n`).join(""));
  if (hasValidation && rows.length > 0) await writePredictions(folder, "validation", predictions(0));
  if (hasTest) await writePredictions(folder, "test", onTest);
  await writeMetrics(folder, metrics);
}

/** Writes a run of classifiers on frozen features. */
export async function sampleFeaturesRun(folder: string): Promise<void> {
  const classifier = (features: string, name: string, validation: number, test: number) => ({
    features,
    classifier: name,
    fit_seconds: 2.5,
    parameters: 385,
    splits: { validation: { accuracy: validation, f1: validation }, test: { accuracy: test, f1: test } },
  });
  await sampleRun(folder, {
    metrics: {
      lab: "features-svm",
      global_step: 0,
      epochs: [],
      validation: { eval_accuracy: 0.79, eval_f1: 0.79 },
      test: { test_accuracy: 0.773, test_f1: 0.773 },
      best: null,
      training: { train_runtime: 95, features_runtime: 82, fit_runtime: 13 },
      parameters: { trainable: 385, all: 22_713_601 },
      classifiers: [
        classifier("cls", "SVC(kernel=linear)", 0.744, 0.729),
        classifier("cls", "SVC(kernel=rbf)", 0.739, 0.728),
        classifier("cls", "LinearSVC", 0.735, 0.718),
        classifier("cls", "LogisticRegression", 0.731, 0.728),
        classifier("mean", "SVC(kernel=rbf)", 0.79, 0.773),
      ],
    },
    recipe: { lab: "features-svm" },
  });
  await writeFile(join(folder, "log.jsonl"), "");
}

/** The same numbers from 0 to 1 every time. */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
