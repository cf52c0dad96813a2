/** GPU tensors with autograd on WebGPU. What is not exported here is not public. */
export { autocast, autocastDtype } from "./autograd/autocast.js";
export { checkpoint } from "./autograd/checkpoint.js";
export { defineOp, type OpContext, type OpDefinition } from "./autograd/define-op.js";
export { type GradcheckOptions, gradcheck } from "./autograd/gradcheck.js";
export { enableGrad, isGradEnabled, noGrad, scope } from "./autograd/modes.js";
export {
  type CapturedStep,
  type CaptureOptions,
  type CaptureStatistics,
  capture,
  type StepArgument,
} from "./capture/index.js";
export type { Cost, Dispatch, PassTimer } from "./device/commands.js";
export { Device, type DeviceCounters, type DeviceOptions } from "./device/device.js";
export {
  eight,
  type FixedParam,
  f32,
  gridFor,
  type Kernel,
  type KernelFeature,
  live,
  type ParamValue,
  type Specialisation,
} from "./device/kernel.js";
export type { CompileProgress } from "./device/pipelines.js";
export { type Phase, type Place, place } from "./device/place.js";
export type { MemoryReport } from "./device/pool.js";
export { effect } from "./device/recording.js";
export { bytesPerElement, type Dtype, type TypedArray } from "./dtype.js";
export {
  AutogradError,
  CaptureError,
  DeviceError,
  DisposedError,
  DtypeError,
  KernelError,
  LimitError,
  NonFiniteError,
  ShapeError,
  ValueError,
  WgradError,
} from "./errors.js";
export {
  bytesOf,
  elementCount,
  expectTensorBytes,
  float32View,
  fromFloat32,
  fromInt32,
  headerByteLength,
  isSafetensorsDtype,
  layoutSafetensors,
  maxHeaderBytes,
  parseByteSize,
  parseSafetensorsHeader,
  parseShardIndex,
  planShards,
  readSafetensors,
  type SafetensorsDtype,
  SafetensorsError,
  type SafetensorsErrorCode,
  type SafetensorsFile,
  type SafetensorsHeader,
  type SafetensorsLayout,
  type SafetensorsSource,
  type Shard,
  type ShardIndex,
  safetensorsDtypeSize,
  safetensorsDtypes,
  shardFileName,
  shardIndexFileName,
  type TensorInfo,
  type TensorSpec,
  type TensorView,
  tensorInfo,
  toFloat32,
  toInt32,
  writeSafetensors,
} from "./io/index.js";
export { nearest } from "./nearest.js";
export { Conv2d, type Conv2dOptions } from "./nn/conv2d.js";
export * as init from "./nn/init.js";
export { Dropout, Embedding, LayerNorm, Linear } from "./nn/layers.js";
export { type LoadReport, Module, ModuleList, skipInit } from "./nn/module.js";
export { Parameter } from "./nn/parameter.js";
export { type AddLayerNormOptions, addLayerNorm } from "./ops/add-layer-norm/index.js";
export { type AttentionOptions, scaledDotProductAttention } from "./ops/attention/index.js";
export { type AvgPool2dOptions, avgPool2d } from "./ops/avg-pool2d/index.js";
export { type ConvolutionOptions, conv2d, type Pair } from "./ops/conv2d/index.js";
export {
  type CrossEntropyOptions,
  crossEntropy,
  type NllLossOptions,
  nllLoss,
  type Reduction,
} from "./ops/cross-entropy/index.js";
export { dropout } from "./ops/dropout/index.js";
export { einsum } from "./ops/einsum/index.js";
export { where } from "./ops/elementwise/where.js";
export { type EmbeddingOptions, embedding } from "./ops/embedding/index.js";
export { flip } from "./ops/flip/index.js";
export type { GradientNorm } from "./ops/grad-norm/index.js";
export { gather, indexSelect, scatterAdd } from "./ops/indexing/index.js";
export { cat, split, stack } from "./ops/join/index.js";
export { layerNorm } from "./ops/layer-norm/index.js";
export { type LinearLowRankOptions, linearLowRank } from "./ops/linear-low-rank/index.js";
export {
  type BinaryCrossEntropyOptions,
  binaryCrossEntropyWithLogits,
  mseLoss,
} from "./ops/losses/index.js";
export {
  type Activation,
  bmm,
  feedForward,
  linear,
  linearActivation,
  linears,
  matmul,
} from "./ops/matmul/index.js";
export { meanPool } from "./ops/mean-pool/index.js";
export { pad } from "./ops/pad/index.js";
export {
  argmax,
  argmin,
  cumsum,
  max,
  min,
  type NormalizeOptions,
  type NormOptions,
  norm,
  normalize,
  prod,
  std,
  type ValuesAndIndices,
  type VarianceOptions,
  variance,
} from "./ops/reduce/index.js";
export { logSoftmax, softmax } from "./ops/softmax/index.js";
export { tril, triu } from "./ops/triangle/index.js";
export type { SliceRange } from "./ops/views/index.js";
export { Adafactor, type AdafactorOptions } from "./optim/adafactor.js";
export { Adam, type AdamOptions, AdamW } from "./optim/adam.js";
export { clipGradNorm_, type GradNormOptions, gradNorm } from "./optim/clip-grad-norm.js";
export {
  GradScaler,
  type GradScalerOptions,
  type GradScalerState,
  type ScaledStepOptions,
} from "./optim/grad-scaler.js";
export {
  Optimizer,
  type OptimizerState,
  type ParamGroup,
  type Ready,
  type StepOptions,
} from "./optim/optimizer.js";
export {
  ReduceLROnPlateau,
  type ReduceLROnPlateauOptions,
  type ReduceLROnPlateauState,
} from "./optim/reduce-lr-on-plateau.js";
export {
  getScheduler,
  type RampType,
  SCHEDULER_TYPES,
  type ScheduleOptions,
  type SchedulerType,
} from "./optim/schedules.js";
export { SGD, type SGDOptions } from "./optim/sgd.js";
export {
  bernoulli,
  defaultGenerator,
  Generator,
  type GeneratorState,
  manualSeed,
  philoxSnippet,
  type RandomOptions,
  type RandomRange,
  rand,
  randint,
  randn,
  randperm,
} from "./random/index.js";
export { broadcastShapes, formatShape, numel, type Shape } from "./shape.js";
export { type NestedNumbers, Tensor, type TensorOptions } from "./tensor.js";
export type { OpCase, OpIndex } from "./verify/format.js";
export {
  type OpFailure,
  type OpFixtures,
  type OpReport,
  type VerifyOpsOptions,
  verifyOps,
} from "./verify/ops.js";
