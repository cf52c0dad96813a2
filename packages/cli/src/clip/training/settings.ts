/** Settings of the labs that train a CLIP. */
import type { Transform } from "@wgrad/image";
import type { CLIPImageProcessor } from "@wgrad/models";
import { toSnakeCase } from "@wgrad/trainer";
import { parse, stringify } from "yaml";
import { UsageError } from "../../errors.js";
import { recipeText } from "../../training/recipe-text.js";
import { flagOf, makeRecipe, type Recipe, SETTINGS, type Setting } from "../../training/settings.js";
import { DEFAULT_TEMPLATE, expandTemplates } from "../prompts.js";

const PICTURES = "Pictures:";
const LOSS = "CLIP:";

/** Settings of texts, which pictures have not. */
const OF_TEXTS: readonly string[] = [
  "textColumn",
  "maxLength",
  "paddingFree",
  "padToMultipleOf",
  "baseModel",
];

/** What is said in another way of settings that `wgrad train` has too. */
const OTHERWISE: Readonly<Record<string, Partial<Setting>>> = {
  dataset: {
    help: "folder or hub id of the pictures: Parquet, a folder a class, Tiny ImageNet's layout (required)",
  },
  loraTargetModules: {
    help: "layers that get an adapter: endings of names, all-linear or a regular expression (default: q_proj,v_proj)",
  },
  dataloaderNumWorkers: { help: "threads that decode pictures, ahead of the training", default: 2 },
};

/** What the labs have of the settings of `wgrad train`. */
const SHARED: readonly Setting[] = SETTINGS.filter(({ name }) => !OF_TEXTS.includes(name)).map((setting) => ({
  ...setting,
  ...OTHERWISE[setting.name],
}));

/** How a CLIP is trained: by the texts of the batch, by the prompts of all classes, or with a classifier on its vision tower. */
export const LOSSES = ["contrastive", "prompts", "head"] as const;
export type ClipLoss = (typeof LOSSES)[number];

const OF_PICTURES: readonly Setting[] = [
  {
    name: "imageColumn",
    kind: "text",
    group: PICTURES,
    help: "column of the pictures (default: image, img or the only one)",
  },
  {
    name: "classNames",
    kind: "text",
    group: PICTURES,
    help: "file of the classes' names: lines of id, tab, name (words.txt), or a name a line (default: the data set's own)",
  },
  {
    name: "randomResizedCrop",
    kind: "number",
    group: PICTURES,
    help: "augmentation: crops of at least this share of a picture, resized; 0: the processor's resize and crop (default)",
  },
  {
    name: "horizontalFlip",
    kind: "number",
    group: PICTURES,
    help: "augmentation: mirror with this probability (default: 0)",
  },
  {
    name: "colorJitter",
    kind: "number",
    group: PICTURES,
    help: "augmentation: change brightness, contrast and saturation by up to this share (default: 0)",
  },
  {
    name: "skipGreyscale",
    kind: "boolean",
    group: PICTURES,
    help: "leave pictures without colours out of the training",
    default: false,
  },
  {
    name: "onError",
    kind: "text",
    group: PICTURES,
    help: "what a picture does that cannot be read: raise an error, or skip it",
    default: "raise",
  },
  {
    name: "cacheDir",
    kind: "text",
    group: PICTURES,
    help: "folder that keeps decoded pictures for the next epoch (default: none)",
  },
  {
    name: "gridSize",
    kind: "number",
    group: PICTURES,
    help: "pictures of the grid of predictions; 0 for none",
    default: 40,
  },
];

const TEMPLATE: Setting = {
  name: "template",
  kind: "text",
  group: LOSS,
  help: "the text of a picture: its class is put in at {}",
  default: DEFAULT_TEMPLATE,
};

const SCRATCH: readonly Setting[] = [
  {
    name: "fromScratch",
    kind: "boolean",
    group: LOSS,
    help: "start from random weights: of the model, take config.json, tokenizer and processor alone",
    default: false,
  },
  {
    name: "config",
    kind: "json",
    group: LOSS,
    help: "settings that replace those of config.json, by their keys, where it starts from random weights",
  },
];

function lossSetting(losses: readonly ClipLoss[]): Setting {
  const meanings: Record<ClipLoss, string> = {
    contrastive: "contrastive (each picture finds its text in the batch, and each text its pictures)",
    prompts: "prompts (cross entropy of each picture over the prompts of all classes)",
    head: "head (a classifier on the vision tower)",
  };
  const help = `what is trained: ${losses.map((loss) => meanings[loss]).join(", ")}`;
  return { name: "loss", kind: "text", group: LOSS, help, default: losses[0] };
}

/** What a lab that trains a CLIP is like. */
export interface ClipLabKind {
  readonly lab: string;
  /** The losses it can be trained with; the first is the default. */
  readonly losses: readonly ClipLoss[];
  /** Whether an adapter is trained, not the weights. */
  readonly isAdapter: boolean;
}

/** The settings of a lab. */
export function clipTrainingSettings({ losses, isAdapter }: ClipLabKind): readonly Setting[] {
  return [
    ...SHARED.filter(({ group }) => isAdapter || group !== "LoRA:"),
    ...OF_PICTURES,
    ...(losses.length > 1 ? [lossSetting(losses)] : []),
    ...(losses.some((loss) => loss !== "head") ? [TEMPLATE] : []),
    ...(isAdapter ? [] : SCRATCH),
  ];
}

/** What a recipe says about pictures and CLIP, beside what {@link Recipe} holds. */
export interface ClipTrainingSettings {
  loss: ClipLoss;
  /** With `{}` for the name of a class. */
  template: string;
  imageColumn: string | null;
  classNames: string | null;
  randomResizedCrop: number | null;
  horizontalFlip: number | null;
  colorJitter: number | null;
  skipGreyscale: boolean;
  onError: "raise" | "skip";
  cacheDir: string | null;
  gridSize: number;
  fromScratch: boolean;
  config: Readonly<Record<string, unknown>> | null;
}

const DEFAULTS: ClipTrainingSettings = {
  loss: "contrastive",
  template: DEFAULT_TEMPLATE,
  imageColumn: null,
  classNames: null,
  randomResizedCrop: null,
  horizontalFlip: null,
  colorJitter: null,
  skipGreyscale: false,
  onError: "raise",
  cacheDir: null,
  gridSize: 40,
  fromScratch: false,
  config: null,
};

/** A run of a lab as its recipe describes it. */
export interface ClipRecipe {
  kind: ClipLabKind;
  recipe: Recipe;
  clip: ClipTrainingSettings;
}

/** LoRA where the recipe does not say: on queries and values, as in the reference; a new classifier is trained whole. */
function adapterDefaults({ losses }: ClipLabKind): Record<string, unknown> {
  const targets = { peft_type: "LORA", task_type: null, target_modules: ["q_proj", "v_proj"] };
  return losses.includes("head") ? { ...targets, modules_to_save: ["classifier"] } : targets;
}

/**
 * Fills in defaults and checks what can be checked without looking at files.
 * @throws UsageError, or TrainerError for an argument out of range
 */
export function makeClipRecipe(given: Readonly<Record<string, unknown>>, kind: ClipLabKind): ClipRecipe {
  const own: Record<string, unknown> = { ...DEFAULTS, loss: kind.losses[0] };
  const rest: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (name in DEFAULTS) own[name] = value ?? null;
    else rest[name] = value;
  }
  if (kind.isAdapter) {
    const peft = (rest.peft ?? {}) as Record<string, unknown>;
    const isLora = (peft.peft_type ?? "LORA") === "LORA";
    rest.peft = isLora ? { ...adapterDefaults(kind), ...peft } : { task_type: null, ...peft };
  }
  rest.outputDir ??= `runs/${kind.lab}`;
  const clip = own as unknown as ClipTrainingSettings;
  check(clip, kind);
  const recipe = makeRecipe(rest);
  if (clip.loss === "contrastive" && recipe.args.perDeviceTrainBatchSize < 2) {
    throw new UsageError(
      "--per-device-train-batch-size is 1: the contrastive loss compares the pictures of a batch with each other. Use 2 or more.",
    );
  }
  return { kind, recipe, clip };
}

function check(clip: ClipTrainingSettings, { losses }: ClipLabKind): void {
  const refuse = (name: keyof ClipTrainingSettings, expected: string) => {
    throw new UsageError(`${flagOf(name)} is ${JSON.stringify(clip[name])}, expected ${expected}.`);
  };
  if (!losses.includes(clip.loss)) refuse("loss", losses.join(", "));
  if (clip.onError !== "raise" && clip.onError !== "skip") refuse("onError", "raise or skip");
  if (!Number.isInteger(clip.gridSize) || clip.gridSize < 0) refuse("gridSize", "a whole number from 0 on");
  for (const name of ["randomResizedCrop", "horizontalFlip", "colorJitter"] as const) {
    const value = clip[name];
    if (value !== null && !(value >= 0 && value <= 1)) refuse(name, "a share from 0 to 1");
  }
  if (clip.config !== null && !clip.fromScratch) {
    throw new UsageError(
      "--config is for a start from random weights, with --from-scratch: trained weights fit their own config.json.",
    );
  }
  expandTemplates([clip.template]);
}

/** The recipe with all its defaults, to run it again. */
export function clipRecipeText({ kind, recipe, clip }: ClipRecipe): string {
  const text = recipeText(kind.lab, recipe);
  const comment = text.slice(0, text.indexOf("\n") + 1);
  const known = new Set(clipTrainingSettings(kind).map(({ name }) => toSnakeCase(name)));
  const all = { ...(parse(text) as Record<string, unknown>), ...inSnakeCase(clip) };
  const kept = Object.entries(all).filter(
    ([key, value]) => key === "lab" || (known.has(key) && value !== null),
  );
  return `${comment}${stringify(Object.fromEntries(kept))}`;
}

function inSnakeCase(values: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [toSnakeCase(name), value]));
}

/** What is done to a picture in training: the processor's own steps, or a random crop in their place, then flips and colours. */
export function trainingTransforms(
  { transforms, cropSize, resample }: CLIPImageProcessor,
  { randomResizedCrop, horizontalFlip, colorJitter }: ClipTrainingSettings,
): Transform[] {
  const { height, width } = cropSize;
  const size: [number, number] = [height, width];
  return [
    ...(randomResizedCrop
      ? [
          {
            type: "randomResizedCrop" as const,
            size,
            scale: [randomResizedCrop, 1] as [number, number],
            interpolation: resample,
          },
        ]
      : transforms),
    ...(horizontalFlip ? [{ type: "randomHorizontalFlip" as const, p: horizontalFlip }] : []),
    ...(colorJitter
      ? [
          {
            type: "colorJitter" as const,
            brightness: colorJitter,
            contrast: colorJitter,
            saturation: colorJitter,
          },
        ]
      : []),
  ];
}
