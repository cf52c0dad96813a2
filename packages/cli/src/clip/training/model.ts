/** The model that a recipe trains. */
import { join } from "node:path";
import { CLIPForClassification, CLIPModel, clipConfig } from "@wgrad/models";
import { fromConfig, fromPretrained, readJsonFile, resolveModel } from "@wgrad/models/node";
import { type Device, manualSeed } from "@wgrad/tensor";
import type { AnyModel, TrainableModel } from "@wgrad/trainer";
import { CommandError } from "../../errors.js";
import { hubOptions } from "../../hub.js";
import { withAdapter } from "../../training/adapter.js";
import type { Ui } from "../../ui.js";
import type { ClipRecipe } from "./settings.js";

/**
 * Loads the model of a recipe, or makes one with new weights, and puts the adapter in.
 * @param labels names of the classes, for a classifier
 * @throws CommandError `E_WEIGHTS_MISSING` for a checkpoint without a tower that is to be trained; HubError, ConfigError, PeftError
 */
export async function loadClipModel(
  device: Device,
  { recipe: { settings, args }, clip }: ClipRecipe,
  labels: readonly string[],
  offline: boolean,
  ui: Ui,
): Promise<TrainableModel | AnyModel> {
  // New weights are drawn from the recipe's seed: a classifier, an adapter, or all of them.
  manualSeed(device, args.seed);
  const name = settings.model;
  if (clip.fromScratch) {
    const folder = await resolveModel(name, { ...hubOptions(offline, ui), needs: "config" });
    const json = await readJsonFile<Record<string, unknown>>(join(folder, "config.json"));
    const config = clipConfig(merged(json, clip.config ?? {}), labels);
    return clip.loss === "head"
      ? fromConfig(CLIPForClassification, device, config)
      : fromConfig(CLIPModel, device, config);
  }
  const options = {
    ...hubOptions(offline, ui),
    onWarning: () => {},
    onWeights: (done: number, total: number) => ui.status(`Loading ${name}: ${done} of ${total} weights`),
  };
  const { model, info } =
    clip.loss === "head"
      ? await fromPretrained(CLIPForClassification, device, name, { ...options, labels })
      : await fromPretrained(CLIPModel, device, name, options);
  ui.done();
  const missing = info.missingKeys.filter((key) => clip.loss !== "head" || !key.startsWith("classifier."));
  if (missing.length > 0) {
    model.dispose();
    throw new CommandError(
      "E_WEIGHTS_MISSING",
      `${name}: the weights lack ${missing.slice(0, 3).join(", ")}${missing.length > 3 ? ` and ${missing.length - 3} more` : ""}. ` +
        "Start from a whole CLIP such as openai/clip-vit-base-patch16.",
    );
  }
  return withAdapter(model as AnyModel, settings.peft, name);
}

/** A config with some keys replaced, also inside the configs of the towers. */
function merged(
  json: Readonly<Record<string, unknown>>,
  changes: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const isMapping = (value: unknown): value is Record<string, unknown> =>
    typeof value === "object" && value !== null && !Array.isArray(value);
  const changed = Object.entries(changes).map(([key, value]) => {
    const old = json[key];
    return [key, isMapping(value) && isMapping(old) ? merged(old, value) : value];
  });
  return { ...json, ...Object.fromEntries(changed) };
}
