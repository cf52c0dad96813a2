import { writeFileAtomic } from "@wgrad/models/node";
import type { Device } from "@wgrad/tensor";
import { chromeTrace, profilePage } from "@wgrad/tensor/profiler";
import { TRAINING_ARGUMENT_NAMES, trainingArguments } from "@wgrad/trainer";
import { withDevice } from "../device.js";
import { assignmentsOf } from "../kernels/assignment.js";
import { ownKernelsJson, useOwnKernels, useVariants } from "../kernels/own.js";
import { subjectOf } from "../kernels/subject.js";
import { wholeNumber } from "../numbers.js";
import { measureSteps, type ProfiledTraining } from "../profile/measure.js";
import { formatProfile, profileJson } from "../profile/report.js";
import { addRecipeFlags } from "../training/flags.js";
import { machine } from "../training/monitor.js";
import { prepareTraining, readRecipe } from "../training/prepare.js";
import { makeRecipe, type RunSettings } from "../training/settings.js";
import type { Ui } from "../ui.js";
import { examples, type Verb } from "../verb.js";

/** Flags of `wgrad profile` that are no part of a recipe. */
interface OwnFlags {
  json?: boolean;
  steps: number;
  warmup: number;
  depth: number;
  top: number;
  force?: boolean;
  trace?: string;
  html?: string;
  offline?: boolean;
}

/** Dawn rounds timestamps to 65 µs, longer than many a dispatch, unless it is told not to. */
const EXACT_TIMESTAMPS = "disable-dawn-features=timestamp_quantization";

/** `wgrad profile`. */
export const profile: Verb = {
  define(command, context) {
    command
      .description(
        "Times every dispatch of some training steps: by pass, by module, by kernel and shape, beside what the adapter can do at best.",
      )
      .argument("[recipe]", "recipe as for wgrad train; without one the quickstart's model and data")
      .option(
        "--steps <n>",
        "steps to profile, and as many without timestamps beside them",
        wholeNumber(1),
        3,
      )
      .option("--warmup <n>", "steps before them", wholeNumber(1), 3)
      .option("--force", "use a kernel of your own although it is wrong")
      .option("--html <file>", "write a page with the roofline, a flame chart and all tables")
      .option("--trace <file>", "write a Chrome trace, for ui.perfetto.dev")
      .option("--depth <n>", "levels of modules in the table", wholeNumber(0), 5)
      .option("--top <n>", "rows of the table of kernels", wholeNumber(1), 25)
      .option("--offline", "never touch the network");
    addRecipeFlags(command);
    command
      .addHelpText(
        "after",
        examples([
          ["wgrad profile", "the quickstart's model"],
          [
            "wgrad profile recipe.yaml --html profile.html --trace trace.json",
            "a recipe, with page and trace",
          ],
          ["wgrad profile recipe.yaml --per-device-train-batch-size 8", "with one change"],
          ["wgrad profile recipe.yaml --kernel matmul=mine.wgsl", "with a kernel of your own"],
        ]),
      )
      .action(async (recipeFile: string | undefined, flags: OwnFlags & Record<string, unknown>) => {
        const { json, steps, warmup, depth, top, force, trace, html, offline, ...given } = flags;
        const ui = context.ui({ json: json ?? false });
        const recipe = { ...(recipeFile === undefined ? {} : await readRecipe(recipeFile)), ...given };
        await withDevice({ dawnFlags: [EXACT_TIMESTAMPS] }, async (device) => {
          ui.note(`Adapter: ${device.description}`);
          const { kernel, variant } = recipe as Partial<RunSettings>;
          const own = await useOwnKernels(device, assignmentsOf(kernel ?? null), {
            force: force ?? false,
            ui,
          });
          useVariants(device, assignmentsOf(variant ?? null));
          const training = await load(device, recipe, offline ?? false, ui);
          const measured = await measureSteps(device, training, { steps, warmup }, ui);
          ui.result(`${measured.title}\n\n${formatProfile(measured, { depth, top })}`);
          if (html !== undefined) await writeFileAtomic(html, profilePage(measured));
          if (trace !== undefined) await writeFileAtomic(trace, JSON.stringify(chromeTrace(measured)));
          for (const [file, what] of [
            [html, "open it in a browser"],
            [trace, "open it in ui.perfetto.dev or chrome://tracing"],
          ])
            if (file) ui.result(`\n${file}: ${what}`);
          ui.document({
            ...profileJson(measured),
            own: ownKernelsJson(own),
            html: html ?? null,
            trace: trace ?? null,
            machine: machine(device),
          });
        });
      });
  },
};

/** What a recipe or flags name; where they name neither model nor data, the quickstart's with the arguments they give. */
async function load(
  device: Device,
  given: Readonly<Record<string, unknown>>,
  offline: boolean,
  ui: Ui,
): Promise<ProfiledTraining> {
  if (given.model === undefined && given.dataset === undefined) {
    const subject = await subjectOf(device, undefined, ui);
    const isArgument = ([name]: [string, unknown]) =>
      (TRAINING_ARGUMENT_NAMES as readonly string[]).includes(name);
    const changed = Object.fromEntries(Object.entries(given).filter(isArgument));
    return {
      ...subject,
      title: `A training step of ${subject.title}`,
      model: await subject.fresh(),
      args: trainingArguments({ ...subject.args, ...changed }),
    };
  }
  const { settings, args } = makeRecipe(given);
  const examplesOfAStep = args.perDeviceTrainBatchSize * args.gradientAccumulationSteps;
  const few = { ...settings, subset: Math.min(examplesOfAStep, settings.subset ?? examplesOfAStep) };
  const options = { offline, trainOnly: true };
  const { model, config, tokenizer, train } = await prepareTraining(
    device,
    { settings: few, args },
    options,
    ui,
  );
  const { nLayers, dim } = config;
  return {
    title: `A training step of ${settings.model}: ${nLayers} layers of ${dim}, ${train.numRows} examples of ${settings.dataset}`,
    model,
    tokenizer,
    args,
    batches: settings,
    train,
  };
}
