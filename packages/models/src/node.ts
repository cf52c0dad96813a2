/** What reads and writes folders: `Auto*` classes, the hub cache, safetensors on disk. Node only. */
export {
  AutoConfig,
  AutoModel,
  AutoModelForImageClassification,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
  AutoModelForZeroShotImageClassification,
  type FromPretrainedOptions,
  fromConfig,
  fromPretrained,
  type Loaded,
  type ModelClass,
  type ModelConfig,
  type ModelType,
  savePretrained,
  tensorSources,
  weightSource,
} from "./auto.js";
export { AutoProcessor } from "./clip/processor-node.js";
export {
  openSafetensors,
  openWeights,
  readJsonFile,
  readTextIfThere,
  type SaveWeightsOptions,
  saveSafetensors,
  saveWeights,
  type TensorSource,
  type WeightsReader,
  writeFileAtomic,
  writeJsonFile,
} from "./files.js";
export {
  type DownloadProgress,
  hubCacheDir,
  isOffline,
  type Needs,
  parseRepoId,
  type RepoId,
  type ResolveOptions,
  resolveDataset,
  resolveModel,
  type SelectFiles,
} from "./hub/index.js";
export { AutoImageProcessor } from "./image-processor/node.js";
export { AutoTokenizer } from "./tokenizer/node.js";
