/** One setting: a key of a recipe and a flag. */
import { toSnakeCase } from "@wgrad/trainer";
import { UsageError } from "../errors.js";
import { parseAssignment } from "../kernels/assignment.js";

/** `switch`: true, false or a name; `list`: names, in a flag with commas between them; `json`: a mapping; `map`: `op=…`, repeatable. */
export type Kind = "text" | "number" | "boolean" | "switch" | "json" | "map" | "list";

/** Heading of what a run writes and when it measures. */
export const SAVING = "Logging, evaluation, saving:";

/** One key of a recipe and one flag. */
export interface Setting {
  /** camelCase */
  name: string;
  kind: Kind;
  help: string;
  /** Heading that it stands under in `--help`. */
  group?: string;
  /** For a flag that sets a key of the mapping `peft`, and is no key itself: that key. */
  peftKey?: string;
  /** Undefined where there is none. */
  default?: unknown;
}

/** `learningRate` → `--learning-rate` */
export function flagOf(name: string): string {
  return `--${toSnakeCase(name).replaceAll("_", "-")}`;
}

/**
 * The value of a flag's text.
 * @throws UsageError if the text is not of the kind
 */
export function parseValue(setting: Setting, text: string): unknown {
  const where = `${flagOf(setting.name)} ${text}`;
  switch (setting.kind) {
    case "number": {
      const value = text.trim() === "" ? Number.NaN : Number(text);
      if (!Number.isFinite(value)) throw new UsageError(`${where}: not a number.`);
      return value;
    }
    case "boolean":
      if (!/^(true|false)$/.test(text)) throw new UsageError(`${where}: expected true or false.`);
      return text === "true";
    case "switch":
      return /^(true|false)$/.test(text) ? text === "true" : text;
    case "list": {
      const names = text.split(",").map((name) => name.trim());
      return names.filter((name) => name !== "");
    }
    case "json":
      try {
        return JSON.parse(text) as unknown;
      } catch {
        throw new UsageError(`${where}: not JSON.`);
      }
    case "map": {
      const { op, value } = parseAssignment(flagOf(setting.name), text);
      return { [op]: value };
    }
    default:
      return text;
  }
}

/** What a value of each kind is called in messages. */
export const EXPECTED: Readonly<Record<Kind, string>> = {
  text: "a text",
  number: "a number",
  boolean: "a boolean",
  switch: "a boolean or a text",
  json: "a mapping",
  map: "a mapping of names to names",
  list: "a list of names",
};

/** Whether a value of a recipe is of the kind. */
export function isOfKind(kind: Kind, value: unknown): boolean {
  const isMapping = typeof value === "object" && value !== null && !Array.isArray(value);
  const areNames = (values: readonly unknown[]) => values.every((inner) => typeof inner === "string");
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "switch":
      return typeof value === "boolean" || typeof value === "string";
    case "json":
      return isMapping;
    case "map":
      return isMapping && areNames(Object.values(value));
    case "list":
      return typeof value === "string" || (Array.isArray(value) && areNames(value));
    default:
      return typeof value === kind;
  }
}
