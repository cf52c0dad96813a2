/** Stable codes of {@link DatasetError}, for programs; the message is for people. */
export type DatasetErrorCode =
  | "E_FILE_NOT_FOUND"
  | "E_FILE_CHANGED"
  | "E_NOT_PARQUET"
  | "E_PARQUET_TRUNCATED"
  | "E_PARQUET_CORRUPT"
  | "E_PARQUET_ENCRYPTED"
  | "E_SCHEMA_MISMATCH"
  | "E_SPLIT_MISSING"
  | "E_SHARD_MISSING"
  | "E_COLUMN_UNKNOWN"
  | "E_COLUMN_LENGTH"
  | "E_FEATURE_UNSUPPORTED"
  | "E_LABEL_RANGE"
  | "E_LABEL_UNKNOWN"
  | "E_INDEX_RANGE"
  | "E_EMPTY"
  | "E_ARGUMENT"
  | "E_WRITE"
  | "E_CSV"
  | "E_JSON"
  | "E_VALUE"
  | "E_ENCODING"
  | "E_FILE_READ"
  | "E_CONFIG"
  | "E_IMAGE"
  | "E_IMAGE_FOLDER"
  | "E_IMAGE_WORKER";

/** Everything that this package throws on bad input: what was found, where, and what to do about it. */
export class DatasetError extends Error {
  override readonly name = "DatasetError";
  /** Stable across releases. */
  readonly code: DatasetErrorCode;
  /** The file, split, column or call that it is about. */
  readonly where: string;
  /** What was found. */
  readonly found: string;
  /** A sentence to act on. */
  readonly fix: string;
  /** The values behind the sentence, for programs. */
  readonly detail: Readonly<Record<string, unknown>>;

  constructor(problem: {
    code: DatasetErrorCode;
    where: string;
    message: string;
    fix: string;
    detail?: Record<string, unknown>;
    cause?: unknown;
  }) {
    super(`${problem.where}: ${problem.message} ${problem.fix}`, { cause: problem.cause });
    this.code = problem.code;
    this.where = problem.where;
    this.found = problem.message;
    this.fix = problem.fix;
    this.detail = problem.detail ?? {};
  }
}

/** The message of anything thrown, without a stack. */
export function reason(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** The known name nearest to `name` by edit distance, or undefined if none is near enough to be a slip. */
export function nearestName(name: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(name.length / 2)) + 1;
  for (const candidate of known) {
    const distance = editDistance(name.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(replace, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

/** The error for a column that is not there. */
export function unknownColumn(where: string, name: string, known: readonly string[]): DatasetError {
  const near = nearestName(name, known);
  return new DatasetError({
    code: "E_COLUMN_UNKNOWN",
    where,
    message: `there is no column "${name}".`,
    fix: `${near === undefined ? "" : `Did you mean "${near}"? `}Its columns are: ${known.join(", ") || "(none)"}.`,
    detail: { column: name, columns: known, suggestion: near },
  });
}

/** The error for an option that makes no sense. */
export function badArgument(where: string, option: string, value: unknown, wanted: string): DatasetError {
  return new DatasetError({
    code: "E_ARGUMENT",
    where,
    message: `${option} is ${String(value)}.`,
    fix: `It must be ${wanted}.`,
    detail: { [option]: value },
  });
}

/** @throws DatasetError E_ARGUMENT unless it is a whole number from 0 that a double holds exactly */
export function checkSeed(where: string, seed: number): number {
  if (Number.isSafeInteger(seed) && seed >= 0) return seed;
  throw badArgument(where, "seed", seed, "a whole number from 0");
}
