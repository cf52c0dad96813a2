/**
 * Checkpoints in several files: `model-00001-of-00003.safetensors`, ... and `model.safetensors.index.json`, as
 * huggingface_hub's `split_state_dict_into_shards_factory` writes them. Pure functions; who calls them moves the bytes.
 */
import { SafetensorsError } from "./errors.js";

/** `model.safetensors.index.json`. */
export interface ShardIndex {
  metadata: { total_size: number; [key: string]: unknown };
  /** Tensor name to file name, relative to the index. */
  weight_map: Record<string, string>;
}

/** One file of a checkpoint. */
export interface Shard {
  /** File name without folder. */
  file: string;
  /** Tensors in it. */
  names: string[];
  /** Their bytes together, header not counted. */
  bytes: number;
}

const units: Record<string, number> = {
  "": 1,
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 2 ** 10,
  MIB: 2 ** 20,
  GIB: 2 ** 30,
  TIB: 2 ** 40,
};

/** `"5GB"`, `"200MB"`, `"1.5GiB"` or a number, in bytes. GB is 10⁹ and GiB 2³⁰, as in transformers. */
export function parseByteSize(size: string | number): number {
  const match =
    typeof size === "number"
      ? [String(size), String(size), ""]
      : /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(size);
  const unit = units[match?.[2]?.toUpperCase() ?? "?"];
  const bytes = Math.floor(Number(match?.[1]) * (unit ?? Number.NaN));
  if (!Number.isSafeInteger(bytes) || bytes <= 0) {
    throw new SafetensorsError(
      "E_SAFETENSORS_INDEX",
      `"${size}" is not a size. Write for example "5GB", "200MB" or "512MiB".`,
    );
  }
  return bytes;
}

/** `model.safetensors` for one shard, else `model-00002-of-00003.safetensors`. @param number From 1. */
export function shardFileName(number: number, count: number, base = "model"): string {
  if (count === 1) return `${base}.safetensors`;
  const digits = (n: number) => String(n).padStart(5, "0");
  return `${base}-${digits(number)}-of-${digits(count)}.safetensors`;
}

/** Name of the index that belongs to `shardFileName`. */
export function shardIndexFileName(base = "model"): string {
  return `${base}.safetensors.index.json`;
}

/**
 * Distributes tensors over files in the given order: a file is closed when the next tensor would take it over the size;
 * a tensor larger than that gets a file of its own.
 * @param tensors Names and bytes, in the order of the state dict.
 * @param maxShardSize As in `savePretrained`; "5GB" is the default of older transformers, kept here.
 */
export function planShards(
  tensors: Iterable<{ name: string; bytes: number }>,
  maxShardSize: string | number = "5GB",
  base = "model",
): { shards: Shard[]; index: ShardIndex | undefined } {
  const limit = parseByteSize(maxShardSize);
  const groups: { names: string[]; bytes: number }[] = [];
  let current = { names: [] as string[], bytes: 0 };
  let total = 0;
  for (const { name, bytes } of tensors) {
    total += bytes;
    if (bytes > limit) {
      groups.push({ names: [name], bytes });
      continue;
    }
    if (current.bytes + bytes > limit) {
      groups.push(current);
      current = { names: [], bytes: 0 };
    }
    current.names.push(name);
    current.bytes += bytes;
  }
  if (current.names.length > 0 || groups.length === 0) groups.push(current);
  const shards = groups.map((group, i) => ({ file: shardFileName(i + 1, groups.length, base), ...group }));
  if (shards.length === 1) return { shards, index: undefined };
  const files = shards.flatMap((shard) => shard.names.map((name) => [name, shard.file] as const));
  files.sort(([a], [b]) => (a < b ? -1 : 1));
  return { shards, index: { metadata: { total_size: total }, weight_map: Object.fromEntries(files) } };
}

/**
 * Reads `model.safetensors.index.json`.
 * @param text The file's text. @param file Its name, for messages.
 * @throws SafetensorsError `E_SAFETENSORS_INDEX`, also for file names that lead out of the folder.
 */
export function parseShardIndex(text: string, file?: string): ShardIndex {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new SafetensorsError(
      "E_SAFETENSORS_INDEX",
      `not JSON (${reason}). Download or save it again.`,
      { file },
      { cause },
    );
  }
  const index = value as { metadata?: { total_size?: unknown }; weight_map?: unknown } | null;
  const map = index?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map) || Object.keys(map).length === 0) {
    throw new SafetensorsError(
      "E_SAFETENSORS_INDEX",
      `no "weight_map" from tensor names to files. Download or save it again.`,
      { file },
    );
  }
  for (const [name, shard] of Object.entries(map)) {
    if (typeof shard !== "string" || shard === "" || /[\\/]|^\.\.?$/.test(shard)) {
      throw new SafetensorsError(
        "E_SAFETENSORS_INDEX",
        `lies in ${JSON.stringify(shard)}, which is not a file name beside the index.`,
        { file, tensor: name },
      );
    }
  }
  const size = index?.metadata?.total_size;
  return {
    metadata: { ...index?.metadata, total_size: typeof size === "number" ? size : 0 },
    weight_map: map as Record<string, string>,
  };
}
