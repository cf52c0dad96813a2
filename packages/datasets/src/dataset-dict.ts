import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Dataset, Row, ToParquetOptions } from "./dataset.js";
import { DatasetError } from "./errors.js";
import { ClassLabel, classNames } from "./features.js";

/** Splits by name, in order. */
export class DatasetDict<R extends object = Row> implements Iterable<[string, Dataset<R>]> {
  readonly #splits: ReadonlyMap<string, Dataset<R>>;
  /** What error messages call it: the folder that it came from. */
  readonly name: string;

  constructor(splits: Readonly<Record<string, Dataset<R>>>, name = "DatasetDict") {
    this.#splits = new Map(Object.entries(splits));
    this.name = name;
  }

  /** Names of the splits. */
  get splits(): string[] {
    return [...this.#splits.keys()];
  }

  /** Rows of each split. */
  get numRows(): Record<string, number> {
    return Object.fromEntries([...this.#splits].map(([split, dataset]) => [split, dataset.numRows]));
  }

  has(split: string): boolean {
    return this.#splits.has(split);
  }

  /** One split. @throws DatasetError E_SPLIT_MISSING, which lists those there are */
  get(split: string): Dataset<R> {
    const dataset = this.#splits.get(split);
    if (dataset === undefined) throw missingSplit(this.name, split, this.splits);
    return dataset;
  }

  [Symbol.iterator](): IterableIterator<[string, Dataset<R>]> {
    return this.#splits.entries();
  }

  /** The same change to every split: `dict.each((split) => split.shuffle({ seed: 0 }))`. */
  each<U extends object>(change: (dataset: Dataset<R>, split: string) => Dataset<U>): DatasetDict<U> {
    const changed = [...this.#splits].map(([split, dataset]) => [split, change(dataset, split)] as const);
    return new DatasetDict<U>(Object.fromEntries(changed), this.name);
  }

  /**
   * With a column of texts as classes in every split that has it: the values of all of them, sorted, are their names.
   * @throws DatasetError E_COLUMN_UNKNOWN if no split has the column
   */
  classEncodeColumn(name: string): DatasetDict<R> {
    const having = [...this.#splits.values()].filter((split) => split.columnNames.includes(name));
    if (having.length === 0) [...this.#splits.values()][0]?.feature(name);
    const names = classNames(having.flatMap((split) => classNames(split.column(name))));
    const feature = new ClassLabel(names);
    return this.each((split) => (having.includes(split) ? split.castColumn(name, feature) : split));
  }

  /** Writes `<split>.parquet` for every split into a folder, which is made if need be. */
  toParquet(folder: string, options: ToParquetOptions = {}): void {
    mkdirSync(folder, { recursive: true });
    for (const [split, dataset] of this.#splits) dataset.toParquet(join(folder, `${split}.parquet`), options);
  }

  toString(): string {
    const splits = [...this.#splits].map(([split, dataset]) => `${split}: ${dataset.numRows}`);
    return `DatasetDict(${splits.join(", ")})`;
  }
}

/** The error for a split that is not there. */
export function missingSplit(where: string, split: string, known: readonly string[]): DatasetError {
  return new DatasetError({
    code: "E_SPLIT_MISSING",
    where,
    message: `there is no split "${split}".`,
    fix: `Its splits are: ${known.join(", ") || "(none)"}.`,
    detail: { split, splits: known },
  });
}
