// A small training run for kill.mjs and its test: everything on that a resume must get right (dropout, shuffling, accumulation, f16
// where the adapter has it, evaluation, early stopping's count, a log). Tells on stdout what it is about to do.
//
//   node bench/resume/run.mjs FOLDER STEPS SAVE_STEPS [keep]
import { existsSync } from "node:fs";
import { Dataset } from "@wgrad/datasets";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { manualSeed } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import {
  classificationMetrics,
  dataCollatorWithFlattening,
  EarlyStoppingCallback,
  listCheckpoints,
  recoverCheckpoints,
  Trainer,
} from "@wgrad/trainer";

const [outputDir, steps, saveSteps, keep] = process.argv.slice(2);
const tell = (text) => process.stdout.write(`${text}\n`);

const examples = (count, shift) =>
  Dataset.fromList(
    Array.from({ length: count }, (_, i) => ({
      inputIds: Array.from(
        { length: 3 + ((i * 7 + shift) % 9) },
        (_, t) => 1 + ((i * 13 + t * 5 + shift) % 39),
      ),
      label: (i * 5 + shift) % 3 === 0 ? 1 : 0,
    })),
  );

const device = await openDevice();
manualSeed(device, 7);
const config = distilBertConfig({
  vocab_size: 40,
  dim: 32,
  n_heads: 2,
  n_layers: 1,
  hidden_dim: 64,
  max_position_embeddings: 16,
  dropout: 0.1,
  attention_dropout: 0.1,
  seq_classif_dropout: 0.2,
});
const trainer = new Trainer({
  model: new DistilBertForSequenceClassification(device, config).initAllWeights(),
  args: {
    outputDir,
    maxSteps: Number(steps),
    perDeviceTrainBatchSize: 4,
    gradientAccumulationSteps: 2,
    learningRate: 2e-3,
    warmupSteps: 5,
    weightDecay: 0.01,
    lrSchedulerType: "cosine",
    loggingSteps: 2,
    evalStrategy: "steps",
    evalSteps: 5,
    saveSteps: Number(saveSteps),
    saveTotalLimit: keep ? null : 2,
    fp16: device.features.has("shader-f16"),
    dataloaderNumWorkers: 1,
    reportTo: ["jsonl"],
  },
  trainDataset: examples(52, 0),
  evalDataset: examples(12, 3),
  computeMetrics: classificationMetrics,
  dataCollator: dataCollatorWithFlattening({ padTokenId: 0 }, { padToMultipleOf: 16 }),
  callbacks: [
    new EarlyStoppingCallback({ earlyStoppingPatience: 1000 }),
    {
      onStepEnd: ({ state }) => tell(`step ${state.globalStep}`),
      onSave: ({ state }) => tell(`saved ${state.globalStep}`),
    },
  ],
  // Called in the middle of a checkpoint, behind the weights.
  processingClass: { savePretrained: async () => tell(`saving ${trainer.state.globalStep}`) },
});
await recoverCheckpoints(outputDir);
const resumes = existsSync(outputDir) && (await listCheckpoints(outputDir)).length > 0;
tell(resumes ? "resuming" : "starting");
await trainer.train({ resumeFromCheckpoint: resumes });
tell("done");
device.close();
