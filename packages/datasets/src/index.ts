// Tables

// Files
export type { CsvOptions } from "./csv-file.js";
export { type DataFiles, type DataFormat, findDataFiles } from "./data-files.js";
// Batches
export { DataLoader, type DataLoaderOptions } from "./data-loader.js";
export {
  type Batch,
  type BatchedMapOptions,
  type ColumnValues,
  Dataset,
  type MapOptions,
  type ParquetOptions,
  type Row,
  type SplitOptions,
  type ToParquetOptions,
} from "./dataset.js";
export { DatasetDict } from "./dataset-dict.js";
// Errors
export { DatasetError, type DatasetErrorCode } from "./errors.js";

// What columns hold
export { ClassLabel, type Feature, type Features, Image, OtherFeature, Sequence, Value } from "./features.js";
export type { JsonOptions } from "./json-file.js";
export { type LoadOptions, loadDataset } from "./load-dataset.js";
export type { ReadStatistics } from "./parquet-source.js";
export { Generator, permutation, philox4x32 } from "./random.js";
export { RandomSampler, Sampler, type SamplerState, SequentialSampler } from "./sampler.js";
