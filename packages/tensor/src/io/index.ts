/** safetensors, bytes in and bytes out. */
export { bytesOf, float32View, fromFloat32, fromInt32, toFloat32, toInt32 } from "./convert.js";
export {
  elementCount,
  isSafetensorsDtype,
  type SafetensorsDtype,
  safetensorsDtypeSize,
  safetensorsDtypes,
} from "./dtypes.js";
export { SafetensorsError, type SafetensorsErrorCode } from "./errors.js";
export {
  expectTensorBytes,
  headerByteLength,
  layoutSafetensors,
  maxHeaderBytes,
  parseSafetensorsHeader,
  readSafetensors,
  type SafetensorsFile,
  type SafetensorsHeader,
  type SafetensorsLayout,
  type SafetensorsSource,
  type TensorInfo,
  type TensorSpec,
  type TensorView,
  tensorInfo,
  writeSafetensors,
} from "./safetensors.js";
export {
  parseByteSize,
  parseShardIndex,
  planShards,
  type Shard,
  type ShardIndex,
  shardFileName,
  shardIndexFileName,
} from "./sharding.js";
