/** GPU tensors with autograd on WebGPU. What is not exported here is not public. */
export { defineOp, type OpContext, type OpDefinition } from "./autograd/define-op.js";
export { enableGrad, isGradEnabled, noGrad, scope } from "./autograd/modes.js";
export { Device, type DeviceCounters, type DeviceOptions } from "./device/device.js";
export { eight, f32, gridFor, type Kernel, type ParamValue, type Specialisation } from "./device/kernel.js";
export type { MemoryReport } from "./device/pool.js";
export { bytesPerElement, type Dtype, type TypedArray } from "./dtype.js";
export * from "./errors.js";
export * as init from "./nn/init.js";
export {
  type CrossEntropyOptions,
  crossEntropy,
  type NllLossOptions,
  nllLoss,
  type Reduction,
} from "./ops/cross-entropy/index.js";
export { dropout } from "./ops/dropout/index.js";
export { addLayerNorm } from "./ops/add-layer-norm/index.js";
export { where } from "./ops/elementwise/where.js";
export { layerNorm } from "./ops/layer-norm/index.js";
export { logSoftmax, softmax } from "./ops/softmax/index.js";
export { type EmbeddingOptions, embedding } from "./ops/embedding/index.js";
export {
  type BinaryCrossEntropyOptions,
  binaryCrossEntropyWithLogits,
  mseLoss,
} from "./ops/losses/index.js";
export { bmm, linear, matmul } from "./ops/matmul/index.js";
export type { SliceRange } from "./ops/views/index.js";
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
