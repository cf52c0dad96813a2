import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { Dataset, type EncodedImage, ImageLoader, loadDataset } from "@wgrad/datasets";
import { CLIPModel } from "@wgrad/models";
import { AutoImageProcessor, fromPretrained } from "@wgrad/models/node";
import { getPeftModel } from "@wgrad/peft";
import type { Device } from "@wgrad/tensor";
import {
  ContrastiveTrainer,
  dataCollatorForClassPrompts,
  dataCollatorForImageText,
  type LogEntry,
  type PictureLoader,
} from "@wgrad/trainer";
import { type CaseResult, type ReportRow, rowOf, runCase, skippedRow } from "./compare.js";
import { checkpointFolder, readCases, StoredTensors } from "./files.js";

/** Every weight with the contrastive loss of the batch, or an adapter with the cross entropy over all prompts. */
const MODES = ["full", "lora"] as const;
type Mode = (typeof MODES)[number];

interface ModeResult {
  /** Before each update. */
  losses: number[];
  /** Joint L2 norms. */
  grad_norms: number[];
  step0: { logits_first8_classes?: number[][] };
  trainable: number;
  logit_scale: number;
}

interface Results extends Record<Mode, ModeResult> {
  /** For each step, class and index within the class of each picture. */
  pictures: [label: number, index: number][][];
}

/** What the reference run is made with, by its README. */
const RATE: Record<Mode, number> = { full: 1e-4, lora: 1e-3 };
const WEIGHT_DECAY = 0.01;

/** The tolerances that the reference run's README names. */
const TOLERANCE = {
  loss: { rtol: 0, atol: 2e-5 },
  gradNorm: { rtol: 1e-4, atol: 0 },
  logits: { rtol: 0, atol: 1e-4 },
  lossOfJpeg: { rtol: 0, atol: 5e-3 },
};

/** The reference decays every weight, also biases and those of layer norms. */
class EveryWeightDecays extends ContrastiveTrainer {
  override getDecayParameterNames(): string[] {
    return [...this.model.namedParameters()].map(([name]) => name);
  }
}

/** A training run of a small CLIP, from stored pixels and from the files they were decoded from. */
export async function verifyPictureRun(
  device: Device,
  place: string,
  name: string,
  fixtures: string,
  onRow: (row: ReportRow) => void,
  onStatus: (text: string) => void,
): Promise<void> {
  const checkpoint = checkpointFolder("clip-tiny-imagenet", fixtures);
  if (checkpoint === undefined) {
    const reason = "checkpoints/clip-tiny-imagenet is not there (WGRAD_SHARED, or beside the cases)";
    onRow(skippedRow("runs", name, 2 * MODES.length, reason));
    return;
  }
  const results = await readCases<Results>(join(place, "results.json"));
  const stored = await StoredTensors.open(join(place, "inputs.safetensors"));
  const { transforms, normalization } = await AutoImageProcessor.fromPretrained(checkpoint);
  for (const mode of MODES) {
    const title = `${name} ${mode} pixels`;
    const status = (text: string) => onStatus(`runs ${title}: ${text}`);
    const source = storedPictures(stored, normalization);
    const cases = await run({ device, checkpoint, stored, want: results[mode], mode, status, ...source });
    for (const result of cases) onRow(rowOf("runs", `${title} ${result.name}`, [result]));
  }
  const folder = dataFolder(fixtures);
  if (folder === undefined) {
    const reason = "data/tiny_imagenet is not there (WGRAD_SHARED, or beside the cases)";
    onRow(skippedRow("runs", `${name} JPEG`, MODES.length, reason));
    return;
  }
  const dataset = encodedPictures(folder, results.pictures);
  for (const mode of MODES) {
    await using loader = new ImageLoader({ transforms, normalization, name: folder });
    const title = `${name} ${mode} JPEG`;
    const status = (text: string) => onStatus(`runs ${title}: ${text}`);
    const options = { device, checkpoint, stored, want: results[mode], mode, status, dataset, loader };
    const [losses] = await run({ ...options, lossTolerance: TOLERANCE.lossOfJpeg });
    if (losses) onRow(rowOf("runs", `${title} ${losses.name}`, [losses]));
  }
}

interface RunOptions {
  device: Device;
  checkpoint: string;
  stored: StoredTensors;
  want: ModeResult;
  mode: Mode;
  dataset: Dataset;
  loader: PictureLoader;
  status: (text: string) => void;
  /** Of the losses, from pictures that are not the stored ones to the bit; then nothing else is compared. */
  lossTolerance?: { rtol: number; atol: number };
}

async function run(options: RunOptions): Promise<CaseResult[]> {
  const { device, checkpoint, stored, want, mode, dataset, loader, status, lossTolerance } = options;
  const { model: base } = await fromPretrained(CLIPModel, device, checkpoint, { onWarning: () => {} });
  const model = mode === "full" ? base : adapted(base);
  const [classes = 0, length = 0] = stored.shape("prompt_ids");
  const ids = stored.ints("prompt_ids");
  const prompts = Array.from({ length: classes }, (_, k) => ids.subarray(k * length, (k + 1) * length));
  const collator = mode === "full" ? dataCollatorForImageText : dataCollatorForClassPrompts;
  const logs: LogEntry[] = [];
  const batchSize = dataset.numRows / want.losses.length;
  const trainer = new EveryWeightDecays({
    model,
    args: {
      numTrainEpochs: 1,
      perDeviceTrainBatchSize: batchSize,
      perDeviceEvalBatchSize: batchSize,
      learningRate: RATE[mode],
      weightDecay: WEIGHT_DECAY,
      // So large that it never clips: the norms are wanted.
      maxGradNorm: 1e9,
      trainSamplingStrategy: "sequential",
      dataloaderNumWorkers: 1,
      loggingSteps: 1,
      saveStrategy: "no",
    },
    trainDataset: dataset,
    dataCollator: collator(loader, { prompts }),
    callbacks: [
      {
        onLog: ({ logs: entry, state }) => {
          if (entry.loss === undefined) return;
          logs.push(entry);
          status(
            `step ${state.globalStep} of ${state.maxSteps}, loss ${entry.loss.toFixed(6)} (reference ${want.losses[state.globalStep - 1]?.toFixed(6)})`,
          );
        },
      },
    ],
  });
  const results: CaseResult[] = [];
  const { logits_first8_classes: first } = want.step0;
  if (!lossTolerance && first) {
    results.push(
      await runCase("logits", async (check) => {
        const { predictions, numLabels } = await trainer.predict(
          dataset.select(Array.from(first, (_, i) => i)),
        );
        const got = first.flatMap((row, i) => row.map((_, k) => predictions[i * numLabels + k]!));
        check.close("first logits", got, first.flat(), TOLERANCE.logits);
      }),
    );
  }
  results.push(
    await runCase("losses", async (check) => {
      check.equal("parameters", model.numParameters({ trainable: true }), want.trainable);
      await trainer.train();
      check.close(
        "loss",
        logs.map((entry) => entry.loss!),
        want.losses,
        lossTolerance ?? TOLERANCE.loss,
      );
    }),
  );
  if (!lossTolerance) {
    results.push(
      await runCase("gradient norms", async (check) => {
        check.close(
          "gradient norm",
          logs.map((entry) => entry.grad_norm!),
          want.grad_norms,
          TOLERANCE.gradNorm,
        );
        check.close("logit scale", [await base.logit_scale.item()], [want.logit_scale], TOLERANCE.loss);
      }),
    );
  }
  trainer.optimizer?.dispose();
  model.dispose();
  return results;
}

/** The model with adapters whose first matrices the reference run's rule fills; the second ones are zero. */
function adapted(base: CLIPModel) {
  const model = getPeftModel(base, { r: 8, loraAlpha: 16, targetModules: ["q_proj", "v_proj"] });
  for (const layer of model.loraLayers.values()) {
    const { A: weight } = layer.factors("default");
    const values = Float32Array.from({ length: weight.numel }, (_, i) => {
      const x = (i + 1) * 0.6180339887498949;
      return (x - Math.floor(x) - 0.5) * 0.1;
    });
    weight.copy_(values);
  }
  return model;
}

/** The pictures as the reference decoded them, [steps, B, H, W, 3]. */
function storedPictures(
  stored: StoredTensors,
  { mean, std }: { mean: readonly number[]; std: readonly number[] },
): { dataset: Dataset; loader: PictureLoader } {
  const [steps = 0, batch = 0, height = 0, width = 0] = stored.shape("pixels");
  const levels = stored.ints("pixels");
  const size = height * width;
  const dataset = Dataset.fromDict({
    image: Int32Array.from({ length: steps * batch }, (_, i) => i),
    label: stored.ints("labels"),
  });
  const loader: PictureLoader = {
    async load(images) {
      const pixelValues = new Float32Array(images.length * 3 * size);
      for (const [i, row] of (images as unknown as readonly number[]).entries()) {
        for (let c = 0; c < 3; c++) {
          for (let p = 0; p < size; p++) {
            const level = levels[(row * size + p) * 3 + c]!;
            pixelValues[(i * 3 + c) * size + p] = (level / 255 - mean[c]!) / std[c]!;
          }
        }
      }
      return { pixelValues, shape: [images.length, 3, height, width], ok: images.map(() => true) };
    },
  };
  return { dataset, loader };
}

/** The same pictures as the data set has them, encoded, in the order of the steps. */
function encodedPictures(folder: string, plan: Results["pictures"]): Dataset {
  const train = loadDataset(folder, { split: "train" }) as Dataset<{ image: EncodedImage; label: number }>;
  const rows = new Map<string, number>();
  const seen: number[] = [];
  for (const [row, label] of Array.from(train.column("label") as ArrayLike<number>).entries()) {
    const at = Number(label);
    seen[at] = (seen[at] ?? -1) + 1;
    rows.set(`${at} ${seen[at]}`, row);
  }
  return train.select(plan.flat().map(([label, index]) => rows.get(`${label} ${index}`)!));
}

/** Undefined if it is not there. */
function dataFolder(fixtures: string): string | undefined {
  const shared = process.env.WGRAD_SHARED;
  const places = [...(shared ? [shared] : []), dirname(resolve(fixtures))];
  return places.map((place) => join(place, "data", "tiny_imagenet")).find((folder) => existsSync(folder));
}
