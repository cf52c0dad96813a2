/** What the configs of all models have in common: reading `config.json` with messages that name the key. */
import { ConfigError } from "./errors.js";

/** The classes of a model with a classifier. */
export interface Labels {
  numLabels: number;
  id2label: Record<number, string>;
  label2id: Record<string, number>;
}

/** Names of classes without any: `LABEL_0`, `LABEL_1`, … */
export function defaultLabels(count: number): string[] {
  return Array.from({ length: count }, (_, i) => `LABEL_${i}`);
}

/**
 * The classes that a config names.
 * @param json its `id2label`, else as many as `num_labels` says (2 if it does not)
 * @param given names in place of those in the JSON
 */
export function labelsOf(json: Record<string, unknown>, given?: readonly string[]): Labels {
  const fromJson = json.id2label as Record<string, string> | undefined;
  const names =
    given ??
    (fromJson
      ? Object.keys(fromJson).map((_, i) => fromJson[i] ?? `LABEL_${i}`)
      : defaultLabels(typeof json.num_labels === "number" ? json.num_labels : 2));
  return {
    numLabels: names.length,
    id2label: Object.fromEntries(names.map((name, i) => [i, name])),
    label2id: Object.fromEntries(names.map((name, i) => [name, i])),
  };
}

/** Reads values of a config. */
export class ConfigReader {
  readonly #json: Record<string, unknown>;
  readonly #place: string;

  /** @param place stands before a key in messages, such as `vision_config.` */
  constructor(json: Record<string, unknown>, place = "") {
    this.#json = json;
    this.#place = place;
  }

  /** A number. @throws ConfigError for anything else, or one below `minimum` */
  number(key: string, minimum: number): number {
    const value = this.#json[key];
    if (typeof value !== "number" || !Number.isFinite(value) || value < minimum) {
      throw new ConfigError(
        `config.json: ${this.#place}${key} is ${JSON.stringify(value)}, expected a number from ${minimum} on.`,
      );
    }
    return value;
  }

  /** One of several words. @throws ConfigError for another */
  oneOf<T extends string>(key: string, values: readonly T[]): T {
    const value = this.#json[key];
    if (!values.includes(value as T)) {
      throw new ConfigError(
        `config.json: ${this.#place}${key} ${JSON.stringify(value)} is not one of ${values.join(", ")}.`,
      );
    }
    return value as T;
  }

  /** @throws ConfigError unless `whole` can be cut into `parts` */
  divides(whole: string, parts: string): void {
    const [width, count] = [this.number(whole, 1), this.number(parts, 1)];
    if (width % count !== 0)
      throw new ConfigError(
        `config.json: ${this.#place}${whole} ${width} is not a multiple of ${parts} ${count}.`,
      );
  }
}
