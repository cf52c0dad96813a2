/** What a checkpoint holds: the model as it is published, and what a run needs to go on as if it had never stopped. */
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
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
import type { CallbackHandler } from "./callback-handler.js";
import type { CallbackState } from "./callbacks.js";
import { writeCheckpoint } from "./checkpoint-folders.js";
import { TrainerError } from "./errors.js";
import type { Trainer } from "./trainer.js";
import { stateFromJson, stateToJson } from "./trainer-state.js";
import { trainingArgumentsToJson } from "./training-arguments.js";

/** What a run needs beside weights, optimizer and `TrainerState`: `run_state.json`. */
export interface RunState {
  /** Sum of the losses since the last log. */
  lossSum: number;
  /** Step of the last log. */
  lossSince: number;
  /** Sum of the losses logged so far. */
  totalLoss: number;
  sampler: SamplerState;
  generator: GeneratorState;
  /** A callback had asked to end the training before its last step. */
  stopped?: boolean;
  /** Scale of the loss, of a run with `fp16`. */
  scaler?: GradScalerState;
  /** Of a schedule that has a state. */
  scheduler?: Record<string, unknown>;
}

const STATE = "trainer_state.json";
const RUN_STATE = "run_state.json";
const OPTIMIZER = "optimizer.safetensors";

/** Writes model, tokenizer and arguments to a folder. Of a model with an adapter, the adapter alone, in PEFT's files. */
export async function saveModel(trainer: Trainer, folder: string): Promise<void> {
  const { model } = trainer;
  if (model instanceof PeftModel) await saveAdapter(model, folder);
  else await savePretrained(model, folder);
  await trainer.processingClass?.savePretrained(folder);
  await writeJsonFile(join(folder, "training_args.json"), trainingArgumentsToJson(trainer.args));
}

/** Writes `checkpoint-<step>` in the output folder and returns its path. What stood under that name before is replaced at the end. */
export async function saveCheckpoint(
  trainer: Trainer,
  handler: CallbackHandler,
  run: RunState,
): Promise<string> {
  const { state, args } = trainer;
  const folder = join(args.outputDir, `checkpoint-${state.globalStep}`);
  if (state.bestGlobalStep === state.globalStep) state.bestModelCheckpoint = folder;
  await writeCheckpoint(folder, async (draft) => {
    await saveModel(trainer, draft);
    if (!args.saveOnlyModel) {
      const { tensors, numbers } = trainer.optimizer!.stateDict();
      const sources: TensorSource[] = [...tensors].map(([name, tensor]) => ({
        name,
        dtype: "F32",
        shape: [...tensor.shape],
        bytes: async () => bytesOf(await tensor.toArray()),
      }));
      await saveSafetensors(join(draft, OPTIMIZER), sources);
      await writeJsonFile(join(draft, RUN_STATE), { ...run, optimizer: numbers });
    }
    const json = stateToJson(state, args.perDeviceTrainBatchSize, handler.states());
    await writeJsonFile(join(draft, STATE), json);
  });
  return folder;
}

/**
 * Puts weights, optimizer, scale of the loss, random state, callbacks and progress of a checkpoint into a trainer.
 * @throws TrainerError `E_CHECKPOINT` for a folder that lacks what a resume needs
 */
export async function loadCheckpoint(
  trainer: Trainer,
  handler: CallbackHandler,
  folder: string,
): Promise<RunState> {
  for (const [name, what] of [
    [STATE, "a checkpoint"],
    [RUN_STATE, "a checkpoint that a run can go on from exactly"],
  ] as const) {
    if (await isThere(join(folder, name))) continue;
    throw new TrainerError(
      "E_CHECKPOINT",
      `${folder} is not ${what}: it has no ${name}. It was written by another program or with saveOnlyModel; start from its weights with --model instead.`,
    );
  }
  const json = await readJsonFile<Record<string, unknown>>(join(folder, STATE));
  const run = await readJsonFile<RunState & { optimizer: Record<string, number> }>(join(folder, RUN_STATE));
  await loadWeights(trainer, folder);
  await using reader = await openSafetensors(join(folder, OPTIMIZER));
  const tensors = new Map<string, Tensor>();
  for (const [name, info] of reader.tensors)
    tensors.set(name, Tensor.from(trainer.device, toFloat32(await reader.read(name)), info.shape));
  trainer.optimizer!.loadStateDict({ tensors, numbers: run.optimizer });
  for (const tensor of tensors.values()) tensor.dispose();
  if (run.scaler) trainer.scaler?.loadStateDict(run.scaler);
  defaultGenerator(trainer.device).setState(run.generator);
  Object.assign(trainer.state, stateFromJson(json));
  await findBest(trainer);
  const states = (json.stateful_callbacks ?? {}) as Record<string, CallbackState | CallbackState[]>;
  handler.loadStates(states);
  return run;
}

/** Where the folder of the run was moved, its best checkpoint is there too. */
async function findBest({ state, args }: Trainer): Promise<void> {
  const best = state.bestModelCheckpoint;
  if (best === null || (await isThere(best))) return;
  const here = join(args.outputDir, basename(best));
  state.bestModelCheckpoint = (await isThere(here)) ? here : null;
}

/** Puts the weights of a checkpoint into the model; into its adapter, where it has one. */
export async function loadWeights({ model }: Trainer, folder: string): Promise<void> {
  if (model instanceof PeftModel) return loadAdapterWeights(model, folder);
  await using reader = await openWeights(folder);
  await model.loadWeights(weightSource(reader, folder));
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
