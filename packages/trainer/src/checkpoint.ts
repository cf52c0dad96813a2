/** Checkpoints: a folder each, written under another name and renamed when whole. */
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { SamplerState } from "@wgrad/datasets";
import {
  openSafetensors,
  openWeights,
  readJsonFile,
  savePretrained,
  saveSafetensors,
  type TensorSource,
  weightSource,
  writeJsonFile,
} from "@wgrad/models/node";
import { PeftModel } from "@wgrad/peft";
import { loadAdapterWeights, savePretrained as saveAdapter } from "@wgrad/peft/node";
import {
  bytesOf,
  defaultGenerator,
  type GeneratorState,
  type GradScalerState,
  Tensor,
  toFloat32,
} from "@wgrad/tensor";
import type { TrainerState } from "./callbacks.js";
import { TrainerError } from "./errors.js";
import type { Trainer } from "./trainer.js";
import { trainingArgumentsToJson } from "./training-arguments.js";

/** What a run needs beside weights, optimizer and `TrainerState` to go on exactly where it stopped. */
export interface RunState {
  /** Sum of the losses since the last log. */
  lossSum: number;
  /** Step of the last log. */
  lossSince: number;
  /** Sum of the losses logged so far. */
  totalLoss: number;
  sampler: SamplerState;
  generator: GeneratorState;
  /** Scale of the loss, of a run with `fp16`. */
  scaler?: GradScalerState;
}

const NAME = /^checkpoint-(\d+)$/;

/** Writes model, tokenizer and arguments to a folder. Of a model with an adapter, the adapter alone, in PEFT's files. */
export async function saveModel(trainer: Trainer, folder: string): Promise<void> {
  const { model } = trainer;
  if (model instanceof PeftModel) await saveAdapter(model, folder);
  else await savePretrained(model, folder);
  await trainer.processingClass?.savePretrained(folder);
  await writeJsonFile(join(folder, "training_args.json"), trainingArgumentsToJson(trainer.args));
}

/** Writes `checkpoint-<step>` in the output folder and returns its path. What stood under that name before is replaced at the end. */
export async function saveCheckpoint(trainer: Trainer, run: RunState): Promise<string> {
  const { state } = trainer;
  const folder = join(trainer.args.outputDir, `checkpoint-${state.globalStep}`);
  const draft = `${folder}.tmp`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { recursive: true });
  if (state.bestGlobalStep === state.globalStep) state.bestModelCheckpoint = folder;
  try {
    await saveModel(trainer, draft);
    const optimizer = trainer.optimizer!.stateDict();
    const sources: TensorSource[] = [...optimizer.tensors].map(([name, tensor]) => ({
      name,
      dtype: "F32",
      shape: [...tensor.shape],
      bytes: async () => bytesOf(await tensor.toArray()),
    }));
    await saveSafetensors(join(draft, "optimizer.safetensors"), sources);
    await writeJsonFile(join(draft, "trainer_state.json"), {
      ...stateToJson(state),
      wgrad: { ...run, optimizer: optimizer.numbers },
    });
    await rm(folder, { recursive: true, force: true });
    await rename(draft, folder);
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw error;
  }
  return folder;
}

/** Puts weights, optimizer, scale of the loss, random state and progress of a checkpoint into a trainer. */
export async function loadCheckpoint(
  trainer: Trainer,
  folder: string,
  options: { weightsOnly?: boolean } = {},
): Promise<RunState> {
  const path = join(folder, "trainer_state.json");
  const json = await readJsonFile<
    Record<string, unknown> & { wgrad?: RunState & { optimizer: Record<string, number> } }
  >(path);
  if (!json.wgrad) {
    throw new TrainerError(
      "E_CHECKPOINT",
      `${path} was not written by this trainer: the state of the data order and the random numbers is missing. Start from its weights with --model instead.`,
    );
  }
  await loadWeights(trainer, folder);
  if (options.weightsOnly) return json.wgrad;
  await using reader = await openSafetensors(join(folder, "optimizer.safetensors"));
  const tensors = new Map<string, Tensor>();
  for (const [name, info] of reader.tensors) {
    tensors.set(name, Tensor.from(trainer.device, toFloat32(await reader.read(name)), info.shape));
  }
  trainer.optimizer!.loadStateDict({ tensors, numbers: json.wgrad.optimizer });
  for (const tensor of tensors.values()) tensor.dispose();
  if (json.wgrad.scaler) trainer.scaler?.loadStateDict(json.wgrad.scaler);
  defaultGenerator(trainer.device).setState(json.wgrad.generator);
  const { maxSteps, numTrainEpochs } = trainer.state;
  Object.assign(trainer.state, stateFromJson(json), { maxSteps, numTrainEpochs });
  return json.wgrad;
}

/** Puts the weights of a checkpoint into the model; into its adapter, where it has one. */
async function loadWeights({ model }: Trainer, folder: string): Promise<void> {
  if (model instanceof PeftModel) return loadAdapterWeights(model, folder);
  await using reader = await openWeights(folder);
  await model.loadWeights(weightSource(reader, folder));
}

/** The newest checkpoint of a run. @throws TrainerError if there is none */
export async function latestCheckpoint(outputDir: string): Promise<string> {
  const steps = await checkpointSteps(outputDir);
  const last = steps.at(-1);
  if (last === undefined) {
    throw new TrainerError(
      "E_CHECKPOINT",
      `${outputDir} has no checkpoint to resume from. Leave out --resume to start anew.`,
    );
  }
  return join(outputDir, `checkpoint-${last}`);
}

/** Removes the oldest checkpoints over the limit; the best one and the newest stay. */
export async function pruneCheckpoints(
  outputDir: string,
  limit: number | null,
  best: string | null,
): Promise<void> {
  if (limit === null || limit < 1) return;
  const steps = (await checkpointSteps(outputDir)).map((step) => join(outputDir, `checkpoint-${step}`));
  const spare = steps.slice(0, -1).filter((folder) => folder !== best);
  const excess = Math.max(0, steps.length - limit);
  for (const folder of spare.slice(0, excess)) await rm(folder, { recursive: true, force: true });
}

async function checkpointSteps(outputDir: string): Promise<number[]> {
  const names = await readdir(outputDir).catch(() => []);
  return names
    .flatMap((name) => NAME.exec(name)?.[1] ?? [])
    .map(Number)
    .sort((a, b) => a - b);
}

/** `trainer_state.json` with Hugging Face's keys. */
function stateToJson(state: TrainerState): Record<string, unknown> {
  return {
    best_global_step: state.bestGlobalStep,
    best_metric: state.bestMetric,
    best_model_checkpoint: state.bestModelCheckpoint,
    epoch: state.epoch,
    global_step: state.globalStep,
    log_history: state.logHistory,
    max_steps: state.maxSteps,
    num_input_tokens_seen: state.numInputTokensSeen,
    num_train_epochs: state.numTrainEpochs,
  };
}

function stateFromJson(json: Record<string, unknown>): Partial<TrainerState> {
  return {
    bestGlobalStep: json.best_global_step as number | null,
    bestMetric: json.best_metric as number | null,
    bestModelCheckpoint: json.best_model_checkpoint as string | null,
    epoch: json.epoch as number,
    globalStep: json.global_step as number,
    logHistory: json.log_history as TrainerState["logHistory"],
    numInputTokensSeen: json.num_input_tokens_seen as number,
  };
}
