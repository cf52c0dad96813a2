import { join } from "node:path";
import {
  CLIPForClassification,
  CLIPTextModelWithProjection,
  CLIPVisionModelWithProjection,
  type PreTrainedModel,
} from "@wgrad/models";
import {
  AutoModel,
  AutoModelForImageClassification,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
  type FromPretrainedOptions,
  fromPretrained,
  type Loaded,
  readJsonFile,
  resolveModel,
} from "@wgrad/models/node";
import type { Device } from "@wgrad/tensor";
import type { InspectFlags } from "../commands/inspect.js";
import { withDevice } from "../device.js";
import { hubOptions } from "../hub.js";
import { formatTable } from "../text/table.js";
import { formatBytes, formatCount, type Ui } from "../ui.js";

type Loader = (
  device: Device,
  folder: string,
  options: FromPretrainedOptions,
) => Promise<Loaded<PreTrainedModel>>;

/** The classes that a config names; what is no class here is loaded without a head. */
const CLASSES: Readonly<Record<string, Loader>> = {
  DistilBertForSequenceClassification: AutoModelForSequenceClassification.fromPretrained,
  DistilBertForMaskedLM: AutoModelForMaskedLM.fromPretrained,
  CLIPForImageClassification: AutoModelForImageClassification.fromPretrained,
  CLIPForClassification: (...given) => fromPretrained(CLIPForClassification, ...given),
  CLIPTextModelWithProjection: (...given) => fromPretrained(CLIPTextModelWithProjection, ...given),
  CLIPVisionModelWithProjection: (...given) => fromPretrained(CLIPVisionModelWithProjection, ...given),
};

/** A model's tree as PyTorch prints it, its parameters by name and shape, and their number. Needs no GPU. */
export async function inspectModel(name: string, flags: InspectFlags, ui: Ui): Promise<void> {
  const folder = await resolveModel(name, { ...hubOptions(flags.offline, ui), needs: "model" });
  const config = await readJsonFile<{ architectures?: string[] }>(join(folder, "config.json"));
  const load = CLASSES[config.architectures?.[0] ?? ""] ?? AutoModel.fromPretrained;
  // Dawn's null backend keeps buffers and computes nothing: enough to hold a model.
  await withDevice({ dawnFlags: ["backend=null"] }, async (device) => {
    const { model, info } = await load(device, folder, { onWarning: () => {} });
    const architecture = model.constructor.name;
    const parameters = [...model.namedParameters()].map(([key, p]) => ({
      name: key,
      shape: [...p.shape],
      count: p.numel,
      missing: info.missingKeys.includes(key),
    }));
    ui.result(model.toString());
    const rows = parameters.map((p) => [
      p.name,
      `[${p.shape.join(", ")}]`,
      formatCount(p.count),
      p.missing ? "not in the file" : "",
    ]);
    ui.result(`\n${formatTable(["parameter", "shape", "values", ""], rows, [0, 1, 3])}`);
    const total = model.numParameters();
    ui.result(
      `\n${formatCount(total)} parameters in ${parameters.length} tensors, ${formatBytes(total * 4)} as f32`,
    );
    if (info.missingKeys.length > 0) ui.result(`Not in the file: ${info.missingKeys.join(", ")}`);
    if (info.unexpectedKeys.length > 0)
      ui.result(`In the file, but no part of ${architecture}: ${info.unexpectedKeys.join(", ")}`);
    ui.document({
      folder,
      architecture,
      parameters,
      total,
      missing_keys: info.missingKeys,
      unexpected_keys: info.unexpectedKeys,
    });
  });
}
