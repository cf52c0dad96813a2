/** What reads and writes folders: `Auto*` classes, the hub cache, safetensors on disk. Node only. */
export {
  AutoConfig,
  AutoModel,
  AutoModelForMaskedLM,
  AutoModelForSequenceClassification,
  type FromPretrainedOptions,
  type Loaded,
  savePretrained,
  tensorSources,
  weightSource,
} from "./auto.js";
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
export { AutoTokenizer } from "./tokenizer/node.js";
