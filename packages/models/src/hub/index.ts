/** Models and data sets by name: folders, the hub's cache, the hub. Node only. */
export type { SelectFiles } from "./download.js";
export { hubCacheDir, isOffline } from "./environment.js";
export { parseRepoId, type RepoId, type RepoType } from "./repo-id.js";
export {
  type DownloadProgress,
  type Needs,
  type ResolveOptions,
  resolveDataset,
  resolveModel,
} from "./resolve.js";
