import { PeftModel } from "@wgrad/peft";
import { EarlyStoppingCallback, type TrainerCallback, type TrainingArguments } from "@wgrad/trainer";
import { withDevice } from "../device.js";
import { assignmentsOf } from "../kernels/assignment.js";
import { ownKernelsJson, useOwnKernels, useVariants } from "../kernels/own.js";
import type { RunMetrics } from "../runs/run-folder.js";
import { formatCount, type Ui } from "../ui.js";
import { prepareTraining } from "./prepare.js";
import { recipeText } from "./recipe-text.js";
import { countParameters, runTraining } from "./run.js";
import type { Recipe } from "./settings.js";

/** What a training run is told beside its recipe. */
export interface TrainOptions {
  /** The verb or lab that runs it: `train`, `finetune`, … */
  readonly lab: string;
  /** A checkpoint's folder, true for the newest, false to start anew. */
  readonly resume: string | boolean;
  /** Never touch the network. */
  readonly offline: boolean;
  /** Train with a kernel of the user's own that is wrong. */
  readonly force: boolean;
  /** The command that goes on after an interruption; default `wgrad … recipe.yaml --resume`. */
  readonly goOn?: string;
}

/** Loads everything that a recipe names and trains. */
export async function trainFromRecipe(
  { settings, args }: Recipe,
  options: TrainOptions,
  ui: Ui,
): Promise<RunMetrics> {
  return withDevice({}, async (device) => {
    ui.note(`Adapter: ${device.description}`);
    const own = await useOwnKernels(device, assignmentsOf(settings.kernel), { force: options.force, ui });
    useVariants(device, assignmentsOf(settings.variant));
    const prepared = await prepareTraining(device, { settings, args }, options, ui);
    const { model, config, tokenizer, labels, maxLength, train, validation, test } = prepared;
    const runArgs = withoutEvaluation(args, validation === null, settings.evalSplit, ui);
    const sizes = [
      `train ${train.numRows}`,
      ...(validation ? [`validation ${validation.numRows}`] : []),
      ...(test ? [`test ${test.numRows}`] : []),
    ];
    ui.note(
      `Data: ${settings.dataset}: ${sizes.join(", ")}; classes ${labels.slice(0, 8).join(", ")}${labels.length > 8 ? ", …" : ""}`,
    );
    const size = `${config.nLayers} layers of ${config.dim}`;
    const { all } = countParameters(model);
    ui.note(`Model: ${settings.model}: ${size}, ${formatCount(all)} parameters`);
    if (model instanceof PeftModel) model.printTrainableParameters((line) => ui.result(line));
    return runTraining(
      {
        lab: options.lab,
        model,
        tokenizer,
        labels,
        args: runArgs,
        batches: settings,
        train,
        validation,
        test,
        resume: options.resume,
        recipe: recipeText(options.lab, { settings: { ...settings, maxLength }, args: runArgs }),
        ...(options.goOn === undefined ? {} : { goOn: options.goOn }),
        callbacks: callbacksOf({ settings, args: runArgs }),
        ownKernels: ownKernelsJson(own),
      },
      ui,
    );
  });
}

/** Without a split to evaluate on there is no evaluation, and nothing to choose the best checkpoint by. */
export function withoutEvaluation(
  args: Readonly<TrainingArguments>,
  isMissing: boolean,
  split: string,
  ui: Ui,
): Readonly<TrainingArguments> {
  if (!isMissing || args.evalStrategy === "no") return args;
  ui.note(`There is no split "${split}" to evaluate on during training (--eval-split).`);
  return { ...args, evalStrategy: "no" as const, loadBestModelAtEnd: false };
}

/** What a recipe asks for beside the trainer's own. */
export function callbacksOf({ settings, args }: Recipe): TrainerCallback[] {
  const { earlyStoppingPatience, earlyStoppingThreshold } = settings;
  if (earlyStoppingPatience === null || args.evalStrategy === "no") return [];
  return [new EarlyStoppingCallback({ earlyStoppingPatience, earlyStoppingThreshold })];
}
