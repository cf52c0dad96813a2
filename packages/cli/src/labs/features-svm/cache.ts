/** Features on disk: a safetensors file a split, that says what it was made from. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { openSafetensors, saveSafetensors } from "@wgrad/models/node";
import { bytesOf, toFloat32, toInt32 } from "@wgrad/tensor";
import { CommandError } from "../../errors.js";
import type { SplitFeatures } from "./extract.js";

/** Features of a split with their classes. */
export interface StoredFeatures extends SplitFeatures {
  /** [N]; -1 where the data set has none */
  labels: Int32Array;
  /** Names of the classes. */
  labelNames: readonly string[];
  /** Parameters of the encoder. */
  parameters: number;
  /** Adapter that computed them. */
  adapter: string;
  /** Seconds that it took. */
  seconds: number;
}

/** Changes when the same model and texts would give other features. */
const FORMAT = "1";

const LISTED = /^(?:config\.json|tokenizer\.json|tokenizer_config\.json|vocab\.txt|model.*\.safetensors.*)$/;

/** SHA-256 of everything in a model's folder that its features depend on: weights, config and tokenizer. */
export async function digestOfModel(folder: string): Promise<string> {
  const hash = createHash("sha256");
  const names = (await readdir(folder)).filter((name) => LISTED.test(name)).sort();
  for (const name of names) {
    hash.update(`\0${name}\0`);
    for await (const bytes of createReadStream(join(folder, name), { highWaterMark: 1 << 20 })) {
      hash.update(bytes as Buffer);
    }
  }
  return hash.digest("hex");
}

/** SHA-256 of what the features of a split depend on. */
export function keyOf(model: string, texts: readonly string[], maxLength: number | null): string {
  const hash = createHash("sha256").update(JSON.stringify([FORMAT, model, maxLength, texts.length]));
  // A text cannot run into the next: its length stands before it.
  for (const text of texts) hash.update(`${text.length}:`).update(text);
  return hash.digest("hex");
}

const fileOf = (folder: string, split: string) => join(folder, `${split}.safetensors`);

/**
 * Reads the features of a split.
 * @param key only those made from this; null for whatever is there
 * @returns null where there are none, or of another key
 * @throws CommandError `E_FEATURES` for a file that does not hold features; SafetensorsError for a damaged one
 */
export async function readFeatures(
  folder: string,
  split: string,
  key: string | null,
): Promise<StoredFeatures | null> {
  const path = fileOf(folder, split);
  if (!(await stat(path).catch(() => undefined))) return null;
  await using reader = await openSafetensors(path);
  const { metadata, tensors } = reader;
  if (key !== null && metadata.key !== key) return null;
  const [rows, columns] = tensors.get("cls")?.shape ?? [];
  const mean = tensors.get("mean")?.shape ?? [];
  const count = tensors.get("labels")?.shape ?? [];
  if (
    rows === undefined ||
    columns === undefined ||
    mean.join() !== `${rows},${columns}` ||
    count[0] !== rows
  ) {
    throw new CommandError(
      "E_FEATURES",
      `${path} holds no features: expected cls and mean [N, D] and labels [N], found ${[...tensors.values()].map((t) => `${t.name} [${t.shape.join(", ")}]`).join(", ") || "nothing"}. Write it anew with wgrad features.`,
    );
  }
  return {
    cls: toFloat32(await reader.read("cls")),
    mean: toFloat32(await reader.read("mean")),
    labels: toInt32(await reader.read("labels")),
    rows,
    columns,
    labelNames: JSON.parse(metadata.labels ?? "[]") as string[],
    tokens: Number(metadata.tokens ?? 0),
    parameters: Number(metadata.parameters ?? 0),
    adapter: metadata.adapter ?? "",
    seconds: Number(metadata.seconds ?? 0),
  };
}

/** Writes the features of a split, for {@link readFeatures} and for Python's `safetensors.numpy.load_file`. */
export async function writeFeatures(
  folder: string,
  split: string,
  key: string,
  features: StoredFeatures,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { rows, columns, cls, mean, labels } = features;
  await saveSafetensors(
    fileOf(folder, split),
    [
      { name: "cls", dtype: "F32", shape: [rows, columns], bytes: bytesOf(cls) },
      { name: "mean", dtype: "F32", shape: [rows, columns], bytes: bytesOf(mean) },
      { name: "labels", dtype: "I32", shape: [rows], bytes: bytesOf(labels) },
    ],
    {
      metadata: {
        format: "np",
        key,
        labels: JSON.stringify(features.labelNames),
        tokens: String(features.tokens),
        parameters: String(features.parameters),
        adapter: features.adapter,
        seconds: String(features.seconds),
      },
    },
  );
}
