/** The models of the reference cases: which class each is of, and what goes into it and comes out by the names of the cases. */
import {
  CLIPForImageClassification,
  CLIPModel,
  type CLIPVisionInput,
  DistilBertForMaskedLM,
  DistilBertForSequenceClassification,
  DistilBertModel,
  type PreTrainedModel,
} from "@wgrad/models";
import { type FromPretrainedOptions, fromPretrained, type ModelClass } from "@wgrad/models/node";
import { type Device, mseLoss, Tensor } from "@wgrad/tensor";
import { CommandError } from "../errors.js";
import type { StoredTensors } from "./files.js";

const CLASSES = {
  DistilBertModel,
  DistilBertForSequenceClassification,
  DistilBertForMaskedLM,
  CLIPModel,
  CLIPForImageClassification,
};

/** A model of the cases, of whatever class. */
export interface CaseModel extends PreTrainedModel {
  forward(input: never): object;
}

/** Whether there are such models; `name` is a class of transformers. */
export const isCaseModel = (name: string): boolean => Object.hasOwn(CLASSES, name);

/** Reads a model of a class of transformers, without dropout. */
export async function openCaseModel(
  name: string,
  device: Device,
  folder: string,
  options: FromPretrainedOptions = {},
): Promise<CaseModel> {
  if (!isCaseModel(name)) throw new CommandError("E_FIXTURES", `${folder}: there is no model ${name}.`);
  const modelClass = CLASSES[name as keyof typeof CLASSES] as ModelClass<CaseModel, never>;
  const { model } = await fromPretrained(modelClass, device, folder, options);
  return model.eval();
}

const camelCase = (name: string) => name.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase());
const snakeCase = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** What a model is given, by the names of its forward, and `target` of a bare encoder. */
export type CaseInput = Readonly<Record<string, Tensor>>;

/** Input tensors whose names in the file begin with `in.`, `train.in.0.`, … */
export function caseInput(device: Device, stored: StoredTensors, prefix: string): CaseInput {
  const names = stored.names.filter((name) => name.startsWith(prefix));
  return Object.fromEntries(
    names.map((name) => [camelCase(name.slice(prefix.length)), stored.tensor(device, name)]),
  );
}

/** Something with the forward of a model: the model, or an adapter around it. */
export interface Runnable {
  forward(input: never): object;
}

/** What came out of a forward. */
export interface CaseOutput {
  loss: Tensor;
  /** By the names of the cases, behind their `out.`: `logits`, `hidden_states.0`, `text.pooler_output`, … */
  named: Map<string, Tensor>;
}

/**
 * A forward, with the loss that the cases took: the model's own one, or the mean squared distance to a target.
 * @param extras also hidden states and attentions
 */
export function runCaseModel(model: Runnable, input: CaseInput, extras = false): CaseOutput {
  const { target, ...rest } = input;
  const asked = { outputHiddenStates: extras, outputAttentions: extras };
  // Models without a contrastive loss do not look at returnLoss.
  const output = model.forward({ ...rest, ...asked, returnLoss: true } as never);
  const named = new Map(flatten(output, ""));
  const loss = target ? mseLoss(named.get("last_hidden_state")!, target) : named.get("loss");
  if (!loss) throw new Error("the model gave no loss.");
  named.set("loss", loss);
  return { loss, named };
}

/** What CLIP gives beside its forward: projected features that are not normalised. */
export function caseFeatures(model: Runnable, input: CaseInput): Map<string, Tensor> {
  if (!(model instanceof CLIPModel)) return new Map();
  const given = input as unknown as CLIPVisionInput & { inputIds: Tensor };
  return new Map([
    ["image_features", model.getImageFeatures(given)],
    ["text_features", model.getTextFeatures(given)],
  ]);
}

/** Tensors of an output by the names of the cases: those of a tower stand behind `text.` or `vision.`. */
function* flatten(output: object, prefix: string): Iterable<[string, Tensor]> {
  for (const [key, value] of Object.entries(output)) {
    const name = prefix + snakeCase(key).replace(/_model_output$/, "");
    if (value instanceof Tensor) yield [name, value];
    else if (value) yield* flatten(value, `${name}.`);
  }
}
