/** Models by name: folders, the hub's cache, the hub. Node only. */
export {
  type DownloadProgress,
  hubCacheDir,
  isOffline,
  type Needs,
  type ResolveOptions,
  resolveModel,
} from "./resolve.js";
