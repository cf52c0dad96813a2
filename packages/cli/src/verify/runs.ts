import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { Dataset, permutation } from "@wgrad/datasets";
import type { DistilBertForSequenceClassification } from "@wgrad/models";
import { AutoModelForSequenceClassification } from "@wgrad/models/node";
import { getPeftModel } from "@wgrad/peft";
import type { Device } from "@wgrad/tensor";
import {
  argmaxRows,
  dataCollatorWithPadding,
  type Example,
  type LogEntry,
  type TrainableModel,
  Trainer,
} from "@wgrad/trainer";
import { type CaseChecker, type CaseResult, type ReportRow, rowOf, runCase, skippedRow } from "./compare.js";
import { checkpointFolder, readCases } from "./files.js";

interface Spec {
  batch: number;
  weight_decay: number;
  max_grad_norm: number;
  head: { step: number; scale: number };
  full: { lr: number };
  lora: {
    lr: number;
    r: number;
    alpha: number;
    target_modules: string[];
    A: { step: number; scale: number };
  };
}

/** Every weight, or an adapter and the head. */
const MODES = ["full", "lora"] as const;
type Mode = (typeof MODES)[number];

interface Rows {
  labels: number[];
  input_ids: number[][];
}

interface Evaluation {
  loss: number;
  correct: number;
  logits: number[][];
}

interface Result {
  trainable_params: number;
  eval_before: Evaluation;
  eval: Evaluation;
  loss: number[];
  grad_norm_before_clipping: number[];
  learning_rate: number[];
}

/** The tolerances that the reference run's README names. */
const TOLERANCE = {
  loss: { rtol: 0, atol: 1e-5 },
  gradNorm: { rtol: 1e-4, atol: 0 },
  rate: { rtol: 1e-9, atol: 1e-15 },
  logitsBefore: { rtol: 0, atol: 1e-4 },
  logitsAfter: { rtol: 0, atol: 1e-3 },
};

/** Whole training runs, step by step, against PyTorch: texts through transformers' Trainer, pictures through a loop by hand. */
export async function verifyRuns(
  device: Device,
  folder: string,
  fixtures: string,
  onRow: (row: ReportRow) => void,
  onStatus: (text: string) => void,
): Promise<void> {
  for (const name of (await readdir(folder)).sort()) {
    const place = join(folder, name);
    if (!existsSync(join(place, "spec.json"))) {
      if (existsSync(join(place, "inputs.safetensors"))) {
        const { verifyPictureRun } = await import("./picture-runs.js");
        await verifyPictureRun(device, place, name, fixtures, onRow, onStatus);
      }
      continue;
    }
    const checkpoint = checkpointFolder("minilm-distilbert", fixtures);
    for (const mode of MODES) {
      if (!existsSync(join(place, `${mode}.json`))) continue;
      const title = `${name} ${mode}`;
      if (checkpoint === undefined) {
        const reason = "checkpoints/minilm-distilbert is not there (WGRAD_SHARED, or beside the cases)";
        onRow(skippedRow("runs", title, 4, reason));
        continue;
      }
      const status = (text: string) => onStatus(`runs ${title}: ${text}`);
      for (const result of await verifyRun(device, place, mode, checkpoint, status)) {
        onRow(rowOf("runs", `${title} ${result.name}`, [result]));
      }
    }
  }
}

async function verifyRun(
  device: Device,
  place: string,
  mode: Mode,
  checkpoint: string,
  onStatus: (text: string) => void,
): Promise<CaseResult[]> {
  const spec = await readCases<Spec>(join(place, "spec.json"));
  const inputs = await readCases<{ train: Rows; eval: Rows }>(join(place, "inputs.json"));
  const want = await readCases<Result>(join(place, `${mode}.json`));
  const { model: base } = await AutoModelForSequenceClassification.fromPretrained(device, checkpoint, {
    numLabels: 2,
    config: { dropout: 0, attention_dropout: 0, seq_classif_dropout: 0 },
    onWarning: () => {},
  });
  for (const [name, parameter] of base.namedParameters()) {
    if (!/^(pre_classifier|classifier)\./.test(name)) continue;
    const { step, scale } = spec.head;
    parameter.copy_(
      Float32Array.from({ length: parameter.numel }, (_, i) =>
        name.endsWith("bias") ? 0 : Math.sin((i + 1) * step) * scale,
      ),
    );
  }
  const model = mode === "full" ? base : adapted(base, spec);
  const logs: LogEntry[] = [];
  const seed = 0;
  const trainer = new Trainer({
    model,
    args: {
      numTrainEpochs: 1,
      perDeviceTrainBatchSize: spec.batch,
      perDeviceEvalBatchSize: 20,
      learningRate: spec[mode].lr,
      weightDecay: spec.weight_decay,
      maxGradNorm: spec.max_grad_norm,
      loggingSteps: 1,
      saveStrategy: "no",
      seed,
    },
    trainDataset: inOrderOf(examples(inputs.train), seed),
    dataCollator: dataCollatorWithPadding({ padTokenId: 0 } as Parameters<typeof dataCollatorWithPadding>[0]),
    callbacks: [
      {
        onLog: ({ logs: entry, state }) => {
          if (entry.loss === undefined) return;
          logs.push(entry);
          onStatus(
            `step ${state.globalStep} of ${state.maxSteps}, loss ${entry.loss.toFixed(6)} (reference ${want.loss[state.globalStep - 1]?.toFixed(6)})`,
          );
        },
      },
    ],
  });
  const evaluation = examples(inputs.eval);
  const results: CaseResult[] = [];
  results.push(
    await runCase("before", async (check) => {
      onStatus("evaluating before training");
      check.equal("parameters", model.numParameters({ trainable: true }), want.trainable_params);
      await checkEvaluation(check, trainer, evaluation, want.eval_before, TOLERANCE.logitsBefore);
    }),
  );
  results.push(
    await runCase("steps", async (check) => {
      await trainer.train();
      check.close(
        "loss",
        logs.map((l) => l.loss!),
        want.loss,
        TOLERANCE.loss,
      );
      check.close(
        "learning rate",
        logs.map((l) => l.learning_rate!),
        want.learning_rate,
        TOLERANCE.rate,
      );
    }),
  );
  results.push(
    await runCase("gradient norms", (check) => {
      check.close(
        "grad norm",
        logs.map((l) => l.grad_norm!),
        want.grad_norm_before_clipping,
        TOLERANCE.gradNorm,
      );
    }),
  );
  results.push(
    await runCase("after", async (check) => {
      onStatus("evaluating after training");
      await checkEvaluation(check, trainer, evaluation, want.eval, TOLERANCE.logitsAfter);
    }),
  );
  trainer.optimizer?.dispose();
  model.dispose();
  return results;
}

/** The model with adapters whose first matrices the reference run's rule fills; the second ones are zero. */
function adapted(base: DistilBertForSequenceClassification, { lora }: Spec): TrainableModel {
  const model = getPeftModel(base, {
    r: lora.r,
    loraAlpha: lora.alpha,
    targetModules: lora.target_modules,
    taskType: "SEQ_CLS",
  });
  for (const layer of model.loraLayers.values()) {
    const { A: weight } = layer.factors("default");
    const values = Float32Array.from({ length: weight.numel }, (_, i) => {
      const x = (i + 1) * lora.A.step;
      return (x - Math.floor(x) - 0.5) * lora.A.scale;
    });
    weight.copy_(values);
  }
  return model;
}

async function checkEvaluation(
  check: CaseChecker,
  trainer: Trainer,
  rows: Dataset<Example>,
  want: Evaluation,
  tolerance: { rtol: number; atol: number },
): Promise<void> {
  const { predictions, labelIds, numLabels, metrics } = await trainer.predict(rows, "eval");
  check.close("logits", predictions, want.logits.flat(), tolerance);
  check.close("loss of the evaluation", [metrics.eval_loss!], [want.loss], tolerance);
  const best = argmaxRows(predictions, numLabels);
  const correct = best.reduce((sum, label, i) => sum + (label === labelIds![i] ? 1 : 0), 0);
  if (Math.abs(correct - want.correct) > 1)
    check.fail(`${correct} right, expected ${want.correct} (or one off).`);
}

function examples(rows: Rows): Dataset<Example> {
  return Dataset.fromDict<Example>({
    inputIds: rows.input_ids.map((ids) => Int32Array.from(ids)),
    label: Int32Array.from(rows.labels),
  });
}

/** The data set that the trainer's shuffle of the first epoch puts into the given order. */
function inOrderOf(dataset: Dataset<Example>, seed: number): Dataset<Example> {
  const shuffled = permutation(dataset.numRows, seed, 0);
  const place = new Uint32Array(dataset.numRows);
  for (const [i, row] of shuffled.entries()) place[row] = i;
  return dataset.select(place);
}
