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
// Pictures
export {
  type ImageBatch,
  type ImageBatchesOptions,
  ImageLoader,
  type ImageLoaderOptions,
  type ImageLoaderStatistics,
  type LoadContext,
} from "./image-loader.js";
export { type EncodedImage, imageBytes, isEncodedImage } from "./images/encoded-image.js";
export { withoutGreyscale } from "./images/greyscale.js";
export { type ImageHeader, imageHeader, isGreyscale } from "./images/image-header.js";
export { tinyImagenetNames } from "./images/tiny-imagenet.js";
export type { JsonOptions } from "./json-file.js";
export { type LoadOptions, loadDataset } from "./load-dataset.js";
export type { ReadStatistics } from "./parquet-source.js";
export { Generator, permutation, philox4x32 } from "./random.js";
export { RandomSampler, Sampler, type SamplerState, SequentialSampler } from "./sampler.js";
