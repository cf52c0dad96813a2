/** Features of texts and pictures on disk: safetensors files that say what they were made from. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { EncodedImage } from "@wgrad/datasets";
import { openSafetensors, saveSafetensors } from "@wgrad/models/node";
import { bytesOf, toFloat32, toInt32 } from "@wgrad/tensor";

/** Changes when the same model and pictures would give other features. */
const FORMAT = "1";

const OF_MODEL =
  /^(?:(?:config|tokenizer|tokenizer_config|preprocessor_config)\.json|adapter_config\.json|vocab\.json|merges\.txt|(?:adapter_)?model.*\.safetensors.*)$/;

/** SHA-256 of everything in a model's folders that features depend on: weights, config, tokenizer, image processor, adapter. */
export async function digestOfClip(...folders: string[]): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of folders) {
    for (const name of (await readdir(folder)).filter((name) => OF_MODEL.test(name)).sort()) {
      hash.update(`\0${name}\0`);
      for await (const bytes of createReadStream(join(folder, name), { highWaterMark: 1 << 20 })) {
        hash.update(bytes as Buffer);
      }
    }
  }
  return hash.digest("hex");
}

/** What the features of some prompts depend on. */
export function keyOfTexts(digest: string, prompts: readonly string[]): string {
  return createHash("sha256")
    .update(JSON.stringify([FORMAT, digest, prompts]))
    .digest("hex");
}

/** Pictures of a split whose bytes are part of its key. All of them would be to read a data set twice. */
const SAMPLED = 64;

/**
 * What the features of a split's pictures depend on: how many there are, their classes, and the bytes (or path) of some of them.
 * @param imageAt the picture of a row
 */
export function keyOfImages(
  digest: string,
  labels: Int32Array,
  imageAt: (row: number) => EncodedImage | null,
): string {
  const hash = createHash("sha256").update(JSON.stringify([FORMAT, digest, labels.length]));
  hash.update(bytesOf(labels));
  const step = Math.max(1, Math.floor(labels.length / SAMPLED));
  for (let row = 0; row < labels.length; row += step) {
    const image = imageAt(row);
    if (image?.bytes) hash.update(`${image.bytes.length}:`).update(image.bytes);
    else hash.update(`path ${image?.path ?? "none"}\0`);
  }
  return hash.digest("hex");
}

/** What was computed with, and what it took. */
export interface Provenance {
  /** Parameters of the model. */
  parameters: number;
  /** Factor of the cosines: exp(logit_scale). */
  scale: number;
  adapter: string;
  seconds: number;
}

/** Features of prompts, projected, not normalised. */
export interface StoredTexts extends Provenance {
  /** [N, P] */
  features: Float32Array;
  columns: number;
}

/** Features of the pictures of a split. */
export interface StoredImages extends Provenance {
  /** [N, D], before the projection */
  pooled: Float32Array;
  /** [N, P], projected, not normalised */
  projected: Float32Array;
  rows: number;
  columns: { pooled: number; projected: number };
  /** [N]: 1 where the picture could be read */
  ok: Int32Array;
}

/** `validation-1a2b3c4d.safetensors`: models and data sets share a folder. */
function fileOf(folder: string, name: string, key: string): string {
  return join(folder, `${name}-${key.slice(0, 12)}.safetensors`);
}

function metadataOf({ parameters, scale, adapter, seconds }: Provenance, key: string) {
  const numbers = { parameters, scale, seconds };
  return {
    format: "np",
    key,
    adapter,
    ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [name, String(value)])),
  };
}

function provenanceOf(metadata: Readonly<Record<string, string>>): Provenance {
  return {
    parameters: Number(metadata.parameters),
    scale: Number(metadata.scale),
    adapter: metadata.adapter ?? "",
    seconds: Number(metadata.seconds),
  };
}

/** @returns null where there are none of this key @throws SafetensorsError for a damaged file */
export async function readTexts(folder: string, key: string): Promise<StoredTexts | null> {
  const path = fileOf(folder, "texts", key);
  if (!(await stat(path).catch(() => undefined))) return null;
  await using reader = await openSafetensors(path);
  if (reader.metadata.key !== key) return null;
  const columns = reader.tensors.get("features")?.shape[1];
  if (columns === undefined) return null;
  return { ...provenanceOf(reader.metadata), features: toFloat32(await reader.read("features")), columns };
}

/** Writes features for {@link readTexts}, and for Python's `safetensors.numpy.load_file`. */
export async function writeTexts(folder: string, key: string, texts: StoredTexts): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { features, columns } = texts;
  await saveSafetensors(
    fileOf(folder, "texts", key),
    [
      {
        name: "features",
        dtype: "F32",
        shape: [features.length / columns, columns],
        bytes: bytesOf(features),
      },
    ],
    { metadata: metadataOf(texts, key) },
  );
}

/** @returns null where there are none of this key @throws SafetensorsError for a damaged file */
export async function readImages(folder: string, split: string, key: string): Promise<StoredImages | null> {
  const path = fileOf(folder, split, key);
  if (!(await stat(path).catch(() => undefined))) return null;
  await using reader = await openSafetensors(path);
  const { metadata, tensors } = reader;
  const [rows, pooled] = tensors.get("pooled")?.shape ?? [];
  const projected = tensors.get("projected")?.shape[1];
  if (metadata.key !== key || rows === undefined || pooled === undefined || projected === undefined)
    return null;
  return {
    ...provenanceOf(metadata),
    pooled: toFloat32(await reader.read("pooled")),
    projected: toFloat32(await reader.read("projected")),
    ok: toInt32(await reader.read("ok")),
    rows,
    columns: { pooled, projected },
  };
}

/** Writes features for {@link readImages}, and for Python's `safetensors.numpy.load_file`. */
export async function writeImages(
  folder: string,
  split: string,
  key: string,
  images: StoredImages,
): Promise<void> {
  await mkdir(folder, { recursive: true });
  const { rows, columns, pooled, projected, ok } = images;
  await saveSafetensors(
    fileOf(folder, split, key),
    [
      { name: "pooled", dtype: "F32", shape: [rows, columns.pooled], bytes: bytesOf(pooled) },
      { name: "projected", dtype: "F32", shape: [rows, columns.projected], bytes: bytesOf(projected) },
      { name: "ok", dtype: "I32", shape: [rows], bytes: bytesOf(ok) },
    ],
    { metadata: metadataOf(images, key) },
  );
}
