/** What the YAML at the head of a data set's README.md says: its configurations, their files, the names of classes. */
import { parse } from "yaml";
import { ClassLabel, type Feature, type Features, Value } from "./features.js";

/** One way to load a data set, as `configs:` lists it. */
export interface CardConfig {
  name: string;
  isDefault: boolean;
  /** Patterns by split; null where the card names no files. */
  dataFiles: ReadonlyMap<string, readonly string[]> | null;
  /** Folder to look in. */
  dataDir: string | null;
}

export interface DatasetCard {
  configs: readonly CardConfig[];
  /** Features of `dataset_info` by name of the configuration: plain columns and classes alone. */
  features: ReadonlyMap<string, Features>;
}

const EMPTY: DatasetCard = { configs: [], features: new Map() };

type Mapping = Readonly<Record<string, unknown>>;

const isMapping = (value: unknown): value is Mapping =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const listOf = (value: unknown): unknown[] =>
  Array.isArray(value) ? value : value === undefined ? [] : [value];
const textsOf = (value: unknown): string[] => listOf(value).filter((item) => typeof item === "string");

/** A card without YAML, or with YAML that is none, says nothing. */
export function readCard(text: string | null): DatasetCard {
  const head = /^\uFEFF?---[ \t]*\r?\n([\s\S]*?)\r?\n---[ \t]*(?:\r?\n|$)/.exec(text ?? "")?.[1];
  if (head === undefined) return EMPTY;
  let yaml: unknown;
  try {
    yaml = parse(head);
  } catch {
    return EMPTY;
  }
  if (!isMapping(yaml)) return EMPTY;
  const configs = listOf(yaml.configs)
    .filter(isMapping)
    .map((config) => ({
      name: String(config.config_name ?? "default"),
      isDefault: config.default === true || config.config_name === "default",
      dataFiles: config.data_files === undefined ? null : dataFilesOf(config.data_files),
      dataDir: typeof config.data_dir === "string" ? config.data_dir.replace(/^\.\/|\/+$/g, "") : null,
    }));
  const features = new Map<string, Features>();
  for (const info of listOf(yaml.dataset_info).filter(isMapping)) {
    features.set(String(info.config_name ?? "default"), featuresOf(info.features));
  }
  return { configs, features };
}

/** `x.csv`, `[a.csv, b.csv]`, `{ train: x.csv }` or `[{ split: train, path: x.csv }]`; a list of names is train. */
function dataFilesOf(value: unknown): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const add = (split: string, paths: unknown): void => {
    found.set(split, [...(found.get(split) ?? []), ...textsOf(paths)]);
  };
  if (isMapping(value)) for (const [split, paths] of Object.entries(value)) add(split, paths);
  else {
    for (const item of listOf(value)) {
      if (isMapping(item)) add(String(item.split ?? "train"), item.path);
      else add("train", item);
    }
  }
  return found;
}

const PLAIN = /^(?:u?int(?:8|16|32|64)|float(?:32|64)|bool|string|large_string)$/;

function featuresOf(value: unknown): Features {
  const features: Record<string, Feature> = {};
  for (const item of listOf(value).filter(isMapping)) {
    if (typeof item.name !== "string") continue;
    if (typeof item.dtype === "string" && PLAIN.test(item.dtype)) features[item.name] = new Value(item.dtype);
    else if (isMapping(item.dtype) && isMapping(item.dtype.class_label)) {
      const { names } = item.dtype.class_label;
      // Numbered names, as the hub writes them, or a list.
      if (isMapping(names)) {
        const numbers = Object.keys(names).sort((a, b) => Number(a) - Number(b));
        features[item.name] = new ClassLabel(numbers.map((number) => String(names[number])));
      } else if (Array.isArray(names)) features[item.name] = new ClassLabel(names.map(String));
    }
  }
  return features;
}
