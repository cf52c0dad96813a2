// Files go both ways between wgrad and Python's own packages: PEFT, transformers and TensorBoard, where they are installed
// (scripts/lib/ensure-python.mjs; `CI=1 npm test` does it).
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Dataset } from "@wgrad/datasets";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AutoModelForSequenceClassification, AutoTokenizer, savePretrained } from "@wgrad/models/node";
import { getPeftModel } from "@wgrad/peft";
import { PeftModel } from "@wgrad/peft/node";
import { type Device, manualSeed, noGrad, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import {
  dataCollatorWithPadding,
  type Example,
  SummaryWriter,
  type TrainableModel,
  Trainer,
} from "@wgrad/trainer";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { missing, runPython, titled } from "./python/interpreter.ts";

const root = resolve(import.meta.dirname, "..");
let device: Device;
let folder: string;
beforeAll(async () => {
  device = await openDevice();
  folder = mkdtempSync(join(tmpdir(), "wgrad-python-"));
});
afterAll(() => {
  device.close();
  rmSync(folder, { recursive: true, force: true });
});

const config = { dim: 32, hidden_dim: 48, n_heads: 4, n_layers: 2, max_position_embeddings: 32 };
// Two rows of different lengths, the second padded.
const rows = [
  [2, 9, 30, 7, 21, 3],
  [2, 14, 5, 3, 0, 0],
];
const mask = rows.map((row) => row.map((id) => (id === 0 ? 0 : 1)));
const examples: Example[] = Array.from({ length: 16 }, (_, i) => ({
  inputIds: Array.from({ length: 4 + (i % 3) }, (_, t) => 5 + ((i * 7 + t * 3 + (i % 2) * 20) % 30)),
  label: i % 2,
}));

async function logitsOf(model: TrainableModel): Promise<number[]> {
  model.eval();
  const tensor = (values: readonly number[][]) =>
    Tensor.from(device, Int32Array.from(values.flat()), [values.length, values[0]!.length]);
  const { logits } = noGrad(() =>
    model.forward({ inputIds: tensor(rows), attentionMask: tensor(mask), labels: null }),
  );
  return Array.from((await logits.toArray()) as Float32Array);
}

/** The largest difference between two lists of logits. */
function difference(got: readonly number[], want: unknown): number {
  expect(want, "an answer from Python").toBeInstanceOf(Array);
  const values = want as number[];
  expect(got).toHaveLength(values.length);
  // Logits that are all the same would hide an adapter that was not read.
  expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(1e-3);
  return Math.max(...got.map((value, i) => Math.abs(value - values[i]!)));
}

async function train(model: TrainableModel, outputDir: string, args: object = {}): Promise<Trainer> {
  const trainer = new Trainer({
    model,
    args: { outputDir, maxSteps: 6, learningRate: 5e-3, saveStrategy: "no", loggingSteps: 1, ...args },
    trainDataset: Dataset.fromList(examples),
    evalDataset: Dataset.fromList(examples),
    dataCollator: dataCollatorWithPadding({ padTokenId: 0 }),
  });
  await trainer.train();
  return trainer;
}

const noTorch = missing("torch", "transformers", "peft");
describe.skipIf(noTorch !== null)(titled("PEFT and transformers", noTorch), () => {
  const texts = ["A film about films.", "unaffable ÉCOLE, don't!", "", "東京 film\tfilm"];
  const pairs = ["so?", "", "film", "it's a film"];
  const adapters = { lora: { useRslora: false }, dora: { useDora: true }, ia3: null } as const;
  const shared = join(process.env.WGRAD_SHARED ?? join(root, "../shared"), "fixtures");
  const names = ["distilbert-lora", "distilbert-dora", "distilbert-rslora", "distilbert-patterns"];
  const stored = names.filter((name) => existsSync(join(shared, "peft", name, "adapter")));
  const place = (name: string) => join(folder, name);
  const ours: Record<string, number[]> = {};
  let theirs: Record<string, unknown>;

  const newBase = () =>
    AutoModelForSequenceClassification.fromPretrained(device, place("base")).then(({ model }) => model);
  const fixtureOf = (name: string) => {
    const { base } = JSON.parse(readFileSync(join(shared, "peft", name, "io.json"), "utf8")) as {
      base: string;
    };
    return { base: resolve(shared, "peft", base), adapter: join(shared, "peft", name, "adapter") };
  };

  beforeAll(async () => {
    manualSeed(device, 1);
    const tiny = JSON.parse(
      readFileSync(join(root, "packages/models/src/tokenizer/fixtures/tiny-bert.json"), "utf8"),
    ) as { tokenizer: { model: { vocab: Record<string, number> } } };
    const vocabSize = Math.max(64, Object.keys(tiny.tokenizer.model.vocab).length);
    const base = new DistilBertForSequenceClassification(
      device,
      distilBertConfig({ ...config, vocab_size: vocabSize }),
    ).initAllWeights();
    await savePretrained(base, place("base"));
    writeFileSync(join(place("base"), "tokenizer.json"), JSON.stringify(tiny.tokenizer));
    writeFileSync(
      join(place("base"), "tokenizer_config.json"),
      JSON.stringify({ tokenizer_class: "DistilBertTokenizer", model_max_length: 16, do_lower_case: true }),
    );
    for (const [name, settings] of Object.entries(adapters)) {
      const model = getPeftModel(
        await newBase(),
        settings === null
          ? {
              peftType: "IA3",
              targetModules: ["k_lin", "v_lin", "lin2"],
              feedforwardModules: ["lin2"],
              taskType: "SEQ_CLS",
            }
          : { r: 4, loraAlpha: 8, targetModules: ["q_lin", "v_lin"], taskType: "SEQ_CLS", ...settings },
      );
      const trainer = await train(model, place(name));
      await trainer.saveModel();
      ours[name] = await logitsOf(model);
    }
    const full = await newBase();
    const trainer = await train(full, place("full"));
    await trainer.saveModel();
    ours.full = await logitsOf(full);
    const input = {
      base: place("base"),
      full: place("full"),
      adapters: Object.fromEntries(Object.keys(adapters).map((name) => [name, place(name)])),
      fixtures: Object.fromEntries(stored.map((name) => [name, fixtureOf(name)])),
      input_ids: rows,
      attention_mask: mask,
      texts,
      pairs,
    };
    writeFileSync(place("input.json"), JSON.stringify(input));
    runPython("interop.py", folder);
    theirs = JSON.parse(readFileSync(place("output.json"), "utf8"));
    const failed = Object.entries(theirs).filter(
      ([, answer]) => typeof answer === "object" && "error" in answer!,
    );
    expect(failed, "what Python could not do").toEqual([]);
  }, 600_000); // PyTorch takes its time to start where other tests run beside it.

  it.each(Object.keys(adapters))("an adapter trained here (%s) gives the same logits in PEFT", (name) => {
    expect(difference(ours[name]!, theirs[name])).toBeLessThan(1e-4);
    expect(difference(ours[name]!, theirs.full)).toBeGreaterThan(1e-3);
  });

  it.each(["python-lora", "python-rslora"])(
    "an adapter that PEFT saved (%s) gives the same logits here",
    async (name) => {
      const model = await PeftModel.fromPretrained(await newBase(), place(name));
      expect(difference(await logitsOf(model), theirs[name])).toBeLessThan(1e-4);
    },
  );

  it.skipIf(stored.length === 0)("stored adapters of PEFT give the same logits here and there", async () => {
    for (const name of stored) {
      const { base, adapter } = fixtureOf(name);
      const { model } = await AutoModelForSequenceClassification.fromPretrained(device, base);
      expect(
        difference(await logitsOf(await PeftModel.fromPretrained(model, adapter)), theirs[name]),
        name,
      ).toBeLessThan(1e-4);
    }
  });

  it("a model fine-tuned here gives the same logits in transformers", () => {
    expect(difference(ours.full!, theirs.full)).toBeLessThan(1e-4);
  });

  it("a model that transformers saved gives the same logits here", async () => {
    const { model } = await AutoModelForSequenceClassification.fromPretrained(device, place("python-full"));
    expect(difference(await logitsOf(model), theirs["python-full"])).toBeLessThan(1e-4);
  });

  it("a tokenizer gives the same ids", async () => {
    const tokenizer = await AutoTokenizer.fromPretrained(place("base"));
    const ids = texts.map((text, i) => tokenizer(text, { textPair: pairs[i]!, truncation: true }).inputIds);
    expect(ids).toEqual(theirs.tokenizer);
  });
});

const noTensorBoard = missing("tensorboard", "numpy", "google.protobuf");
describe.skipIf(noTensorBoard !== null)(titled("TensorBoard", noTensorBoard), () => {
  interface Found {
    scalars: Record<string, [number, number][]>;
    texts: Record<string, [number, string][]>;
    plugins: Record<string, string>;
    histograms: Record<string, Record<string, unknown>[]>;
    images: Record<string, [number, number, number, string][]>;
  }
  const read = (place: string) => JSON.parse(runPython("read_events.py", place)) as Found;

  it("reads every scalar of a run that was resumed, its texts and its histograms", async () => {
    const newModel = () => {
      manualSeed(device, 2);
      return new DistilBertForSequenceClassification(
        device,
        distilBertConfig({ ...config, vocab_size: 64 }),
      ).initAllWeights();
    };
    const outputDir = join(folder, "run");
    const args = {
      outputDir,
      maxSteps: 9,
      loggingSteps: 1,
      saveSteps: 4,
      evalStrategy: "steps",
      evalSteps: 4,
      reportTo: ["tensorboard"],
      loggingHistograms: 4,
    } as const;
    const options = {
      trainDataset: Dataset.fromList(examples),
      evalDataset: Dataset.fromList(examples),
      dataCollator: dataCollatorWithPadding({ padTokenId: 0 }),
    };
    // It ends without a word after step 6, two steps behind its checkpoint, in the middle of a record.
    const killed = new Trainer({
      ...options,
      model: newModel(),
      args,
      callbacks: [
        {
          onStepBegin: ({ state }) => {
            if (state.globalStep === 6) throw new Error("killed");
          },
        },
      ],
    });
    await expect(killed.train()).rejects.toThrow("killed");
    const runs = join(outputDir, "runs");
    const logs = join(runs, readdirSync(runs)[0]!);
    const [first] = readdirSync(logs);
    const bytes = readFileSync(join(logs, first!));
    writeFileSync(join(logs, first!), bytes.subarray(0, bytes.length - 5));
    const trainer = new Trainer({ ...options, model: newModel(), args });
    await trainer.train({ resumeFromCheckpoint: true });
    expect(readdirSync(logs)).toHaveLength(2);

    const found = read(logs);
    const want: Record<string, [number, number][]> = {};
    for (const { step, ...values } of trainer.state.logHistory)
      for (const [name, value] of Object.entries(values)) {
        const tag = name.startsWith("eval_") ? `eval/${name.slice("eval_".length)}` : `train/${name}`;
        want[tag] ??= [];
        want[tag].push([step, Math.fround(value)]);
      }
    expect(found.scalars).toEqual(want);
    expect(found.scalars["train/loss"]!.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
    expect(found.plugins).toEqual({ "args/text_summary": "text", "model_config/text_summary": "text" });
    expect(found.texts["args/text_summary"]![0]![1]).toContain('"max_steps": 9');
    const name = "distilbert.transformer.layer.0.attention.q_lin.weight";
    for (const kind of ["weights", "gradients"])
      expect(found.histograms[`${kind}/${name}`]!.map(({ step, num }) => [step, num])).toEqual([
        [4, 32 * 32],
        [8, 32 * 32],
      ]);
  });

  it("reads histograms and pictures as they were written, while the file is still open", () => {
    const place = join(folder, "by-hand");
    const writer = new SummaryWriter(place);
    const png = Buffer.from(
      "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAYAAAC56t6BAAAAEUlEQVR4nGP4z8DwH4QZYAwAR8oH+Rq28akAAAAASUVORK5CYII=",
      "base64",
    );
    const values = Float32Array.of(-2, -0.5, 0, 0.25, 0.25, 3);
    writer.addHistogram("h", values, 5);
    writer.addImage("picture", png, 6);
    writer.addScalar("tiny", 1e-30, 1);
    writer.addScalar("tiny", -1e38, 2 ** 40);
    const found = read(place);
    writer.close();
    expect(found.images).toEqual({ picture: [[6, 2, 3, png.toString("base64")]] });
    const [histogram] = found.histograms.h!;
    expect(histogram).toMatchObject({ step: 5, min: -2, max: 3, num: 6, sum: 1, sumSquares: 13.375 });
    const { bucket, bucketLimit } = histogram as { bucket: number[]; bucketLimit: number[] };
    const counts = values.map((value) => bucket[bucketLimit.findIndex((limit) => value < limit)]!);
    expect(Array.from(counts)).toEqual([1, 1, 1, 2, 2, 1]);
    expect(found.scalars.tiny).toEqual([
      [1, Math.fround(1e-30)],
      [2 ** 40, Math.fround(-1e38)],
    ]);
  });
});
