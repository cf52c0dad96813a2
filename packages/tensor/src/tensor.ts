import { type GradientHook, type GraphNode, runBackward } from "./autograd/graph.js";
import { noGrad, scope, track, untrack } from "./autograd/modes.js";
import type { Device } from "./device/device.js";
import {
  bytesPerElement,
  type Dtype,
  fromHalfBits,
  isFloating,
  type TypedArray,
  toHalfBits,
} from "./dtype.js";
import { AutogradError, DisposedError, DtypeError, ShapeError, ValueError } from "./errors.js";
import { clone, contiguous, to } from "./ops/copy/index.js";
import * as binary from "./ops/elementwise/binary.js";
import * as unary from "./ops/elementwise/unary.js";
import { maskedFill } from "./ops/elementwise/where.js";
import { fill } from "./ops/fill/index.js";
import { flip } from "./ops/flip/index.js";
import { gelu } from "./ops/gelu/index.js";
import * as indexing from "./ops/indexing/index.js";
import { split } from "./ops/join/index.js";
import { bmm, matmul } from "./ops/matmul/index.js";
import { pad } from "./ops/pad/index.js";
import * as reduce from "./ops/reduce/index.js";
import { logSoftmax, softmax } from "./ops/softmax/index.js";
import { mean, sum } from "./ops/sum/index.js";
import { tril, triu } from "./ops/triangle/index.js";
import * as views from "./ops/views/index.js";
import { contiguousStrides, formatShape, isContiguous, numel, type Shape } from "./shape.js";
import { Storage } from "./storage.js";

/** Numbers in nested arrays, as `tensor.tolist()` returns and `tensor()` takes them. */
export type NestedNumbers = number | boolean | readonly NestedNumbers[];

/** Options of the functions that make tensors. */
export interface TensorOptions {
  dtype?: Dtype;
  /** Records operations on it and collects its gradient in `.grad`. */
  requiresGrad?: boolean;
}

/**
 * An n-dimensional array on a GPU device. Operations enqueue work and return at once; only `toArray`, `tolist` and `item`
 * wait. Method names and meanings are PyTorch's, in camelCase.
 *
 * Memory: inside `scope(() => …)` nothing need be freed. Outside of any scope a tensor lives until `dispose()`.
 */
export class Tensor {
  readonly device: Device;
  readonly storage: Storage;
  readonly shape: Shape;
  /** Elements between neighbours, for each dimension. */
  readonly strides: readonly number[];
  /** First element's place in the storage, in elements. */
  readonly offset: number;
  readonly dtype: Dtype;
  /** True if gradients flow to or through this tensor. */
  requiresGrad = false;
  /** Gradient of a leaf tensor after `backward`; accumulates until `zeroGrad` of an optimizer or a module. */
  grad: Tensor | null = null;
  /** The recorded operation this is an output of; null for leaves. */
  node: GraphNode | null = null;
  /** Which output of `node` this is. */
  outputIndex = 0;
  /** Hooks of a leaf. */
  hooks: Set<GradientHook> | undefined;
  #disposed = false;

  /** Made by operations; users call `tensor`, `zeros`, `rand` and so on. */
  constructor(storage: Storage, shape: Shape, strides: readonly number[], offset: number, dtype: Dtype) {
    this.device = storage.device;
    this.storage = storage;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    this.dtype = dtype;
    storage.retain();
    this.device.liveTensors++;
    track(this);
  }

  /** New memory with undefined contents. */
  static empty(device: Device, shape: Shape, dtype: Dtype = "f32"): Tensor {
    const buffer = device.pool.acquire(Math.max(numel(shape) * bytesPerElement(dtype), 16));
    return new Tensor(new Storage(device, buffer), shape, contiguousStrides(shape), 0, dtype);
  }

  /** Every element `value`. */
  static full(device: Device, shape: Shape, value: number, options: TensorOptions = {}): Tensor {
    const made = Tensor.empty(device, shape, options.dtype ?? "f32");
    fill(made, value);
    return made.requiresGrad_(options.requiresGrad ?? false);
  }

  /** Every element 0. */
  static zeros(device: Device, shape: Shape, dtype: Dtype = "f32"): Tensor {
    return Tensor.full(device, shape, 0, { dtype });
  }

  /**
   * From host data. The element type follows the array (`Float32Array` f32, `Int32Array` i32, `Uint32Array` u32,
   * `Uint8Array` bool) unless `dtype` says otherwise.
   * @throws ShapeError if the number of elements does not fit `shape`
   */
  static from(device: Device, data: TypedArray, shape: Shape, options: TensorOptions = {}): Tensor {
    const own: Dtype =
      data instanceof Float32Array
        ? "f32"
        : data instanceof Int32Array
          ? "i32"
          : data instanceof Uint32Array
            ? "u32"
            : "bool";
    const dtype = options.dtype ?? own;
    if (data.length !== numel(shape)) {
      throw new ShapeError(
        `tensor: ${data.length} numbers do not fill the shape ${formatShape(shape)} (${numel(shape)}).`,
      );
    }
    const buffer = device.upload(hostBytes(data, dtype), Math.max(data.length * bytesPerElement(dtype), 16));
    const made = new Tensor(new Storage(device, buffer), [...shape], contiguousStrides(shape), 0, dtype);
    return made.requiresGrad_(options.requiresGrad ?? false);
  }

  // ---- what it is ----

  /** Number of dimensions. */
  get rank(): number {
    return this.shape.length;
  }

  /** Number of elements. */
  get numel(): number {
    return numel(this.shape);
  }

  /** True if the elements lie in row-major order without gaps. */
  get isContiguous(): boolean {
    return isContiguous(this.shape, this.strides);
  }

  /** Size of a dimension; negative counts from the end. */
  size(dim: number): number {
    const size = this.shape.at(dim);
    if (size === undefined)
      throw new ShapeError(`size: dim ${dim} is out of range for ${formatShape(this.shape)}.`);
    return size;
  }

  /** True if it was made by the user, not by a recorded operation. */
  get isLeaf(): boolean {
    return this.node === null;
  }

  get isDisposed(): boolean {
    return this.#disposed;
  }

  toString(): string {
    return `Tensor(${formatShape(this.shape)}, ${this.dtype}${this.requiresGrad ? ", requiresGrad" : ""})`;
  }

  // ---- reading: the only things that wait ----

  /** All elements in row-major order: `Float32Array` (f32, f16), `Int32Array`, `Uint32Array`, or `Uint8Array` (bool). */
  async toArray(): Promise<TypedArray> {
    this.assertLive("toArray");
    if (this.numel === 0) return emptyArray(this.dtype);
    const packed = noGrad(() => scope(() => this.contiguous().alias()));
    untrack(packed);
    const bytes = bytesPerElement(this.dtype);
    try {
      // Reads go by whole words: an f16 tensor may begin or end in the middle of one.
      const first = (packed.offset * bytes) & ~3;
      const last = ((packed.offset + packed.numel) * bytes + 3) & ~3;
      const raw = await this.device.read(packed.storage.buffer, first, last - first);
      return hostArray(raw, packed.offset * bytes - first, packed.numel, this.dtype);
    } finally {
      packed.dispose();
    }
  }

  /** The elements as nested arrays of numbers (booleans for bool). */
  async tolist(): Promise<NestedNumbers> {
    const flat = await this.toArray();
    const isBool = this.dtype === "bool";
    const build = (dim: number, start: number, step: number): NestedNumbers => {
      if (dim === this.rank) return isBool ? flat[start] !== 0 : flat[start]!;
      const inner = step / this.shape[dim]!;
      return Array.from({ length: this.shape[dim]! }, (_, i) => build(dim + 1, start + i * inner, inner));
    };
    return build(0, 0, this.numel);
  }

  /** The only element of a tensor of one. */
  async item(): Promise<number> {
    if (this.numel !== 1)
      throw new ShapeError(`item: ${formatShape(this.shape)} has ${this.numel} elements, not one.`);
    return (await this.toArray())[0]!;
  }

  // ---- life ----

  /** Gives the memory back. Views and what the tape saved are not affected. Calling it twice does nothing. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.device.liveTensors--;
    untrack(this);
    this.storage.release();
    this.node?.letGo();
    this.grad?.dispose();
    this.grad = null;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Takes the tensor out of the enclosing scope's care: it lives until `dispose()`. Returns itself. */
  keep(): this {
    untrack(this);
    return this;
  }

  /** Throws `DisposedError` if the memory is gone. */
  assertLive(op: string): void {
    if (this.#disposed) {
      throw new DisposedError(
        `${op}: a tensor of shape ${formatShape(this.shape)} was disposed. Return it from its scope, or call .keep() on it.`,
      );
    }
  }

  /** Another handle of the same memory, without tape. Internal use by the tape and by views. */
  alias(): Tensor {
    return new Tensor(this.storage, this.shape, this.strides, this.offset, this.dtype);
  }

  // ---- autograd ----

  /** Makes a leaf collect gradients, as `requires_grad_`. */
  requiresGrad_(value = true): this {
    if (value && !isFloating(this.dtype)) {
      throw new DtypeError(
        `requiresGrad: only f32 and f16 tensors have gradients, this one is ${this.dtype}.`,
      );
    }
    if (this.node)
      throw new AutogradError(
        "requiresGrad: only leaf tensors can be changed; use detach() for a copy without tape.",
      );
    this.requiresGrad = value;
    return this;
  }

  /** The same memory without tape. */
  detach(): Tensor {
    this.assertLive("detach");
    return this.alias();
  }

  /** Binds an output to its recorded operation. Internal. */
  attach(node: GraphNode, index: number): void {
    this.node = node;
    this.outputIndex = index;
    this.requiresGrad = true;
    node.hold();
  }

  /**
   * Computes gradients of everything this depends on into the leaves' `.grad`, adding to what is there.
   * @param options.gradient gradient of this tensor; may be left out for a single element (then 1)
   * @param options.retainGraph keep what is needed to run backward again
   * @throws AutogradError without tape, for a missing gradient, or on a second run
   */
  backward(options: { gradient?: Tensor; retainGraph?: boolean } = {}): void {
    this.assertLive("backward");
    if (!this.requiresGrad) {
      throw new AutogradError(
        "backward: nothing recorded leads to this tensor. Is a parameter's requiresGrad set, and was it made outside noGrad?",
      );
    }
    const { gradient } = options;
    if (!gradient && this.numel !== 1) {
      throw new AutogradError(
        `backward: a tensor of shape ${formatShape(this.shape)} needs a gradient of that shape; without one it must have one element.`,
      );
    }
    if (gradient && formatShape(gradient.shape) !== formatShape(this.shape)) {
      throw new ShapeError(
        `backward: gradient ${formatShape(gradient.shape)} for a tensor ${formatShape(this.shape)}.`,
      );
    }
    scope(() => {
      const seed = gradient ?? Tensor.full(this.device, this.shape, 1, { dtype: this.dtype });
      runBackward(this, seed, options.retainGraph ?? false);
    });
  }

  /** Calls `hook` with the gradient of this tensor in backward; what it returns takes the gradient's place. Returns a function that removes it. */
  registerHook(hook: GradientHook): () => void {
    if (!this.requiresGrad) throw new AutogradError("registerHook: this tensor has no gradient.");
    let hooks: Set<GradientHook>;
    if (this.node) {
      hooks = this.node.hooks.get(this.outputIndex) ?? new Set();
      this.node.hooks.set(this.outputIndex, hooks);
    } else {
      this.hooks ??= new Set();
      hooks = this.hooks;
    }
    hooks.add(hook);
    return () => hooks.delete(hook);
  }

  /** Overwrites the elements with those of `source` (same number of them), as `copy_`. */
  copy_(source: Tensor | TypedArray): this {
    if (!this.isContiguous || this.offset !== 0)
      throw new ValueError("copy_: the target must be contiguous and not a part of another tensor.");
    const count = source instanceof Tensor ? source.numel : source.length;
    if (count !== this.numel) {
      throw new ShapeError(
        `copy_: ${count} elements for a tensor of shape ${formatShape(this.shape)} (${this.numel}).`,
      );
    }
    scope(() => {
      const from =
        source instanceof Tensor
          ? source
          : Tensor.from(this.device, source, this.shape, { dtype: this.dtype });
      views.writeInto(
        this,
        noGrad(() => from.detach().to(this.dtype).reshape(this.shape)),
      );
    });
    return this;
  }

  /** Sets every element to `value` in place, as `fill_`. */
  fill_(value: number): this {
    if (!this.isContiguous || this.offset !== 0)
      throw new ValueError("fill_: the target must be contiguous and not a part of another tensor.");
    fill(this, value);
    return this;
  }

  /** Sets every element to 0 in place. */
  zero_(): this {
    return this.fill_(0);
  }

  // ---- copies and types ----

  /** A copy in new memory, row-major without gaps. */
  clone(): Tensor {
    return clone(this);
  }

  /** Itself if row-major without gaps, else a copy that is. */
  contiguous(): Tensor {
    return contiguous(this);
  }

  /** In another element type; itself if it has it already. */
  to(dtype: Dtype): Tensor {
    return to(this, dtype);
  }

  // ---- arithmetic: broadcast, operands may be numbers ----

  /** This + other. */
  add(other: Tensor | number): Tensor {
    return binary.add(this, other);
  }
  /** This - other. */
  sub(other: Tensor | number): Tensor {
    return binary.sub(this, other);
  }
  /** This · other, element by element. */
  mul(other: Tensor | number): Tensor {
    return binary.mul(this, other);
  }
  /** This / other. */
  div(other: Tensor | number): Tensor {
    return binary.div(this, other);
  }
  /** This to the power of `exponent`; with a tensor as exponent the base must not be negative. */
  pow(exponent: Tensor | number): Tensor {
    return binary.pow(this, exponent);
  }
  /** The larger of two; the gradient is shared where they are equal. */
  maximum(other: Tensor | number): Tensor {
    return binary.maximum(this, other);
  }
  /** The smaller of two; the gradient is shared where they are equal. */
  minimum(other: Tensor | number): Tensor {
    return binary.minimum(this, other);
  }
  /** bool: equal. */
  eq(other: Tensor | number): Tensor {
    return binary.eq(this, other);
  }
  /** bool: not equal. */
  ne(other: Tensor | number): Tensor {
    return binary.ne(this, other);
  }
  /** bool: less than. */
  lt(other: Tensor | number): Tensor {
    return binary.lt(this, other);
  }
  /** bool: at most. */
  le(other: Tensor | number): Tensor {
    return binary.le(this, other);
  }
  /** bool: greater than. */
  gt(other: Tensor | number): Tensor {
    return binary.gt(this, other);
  }
  /** bool: at least. */
  ge(other: Tensor | number): Tensor {
    return binary.ge(this, other);
  }

  // ---- functions of each element ----

  /** -x */
  neg(): Tensor {
    return unary.neg(this);
  }
  /** |x|; gradient 0 at 0. */
  abs(): Tensor {
    return unary.abs(this);
  }
  /** eˣ */
  exp(): Tensor {
    return unary.exp(this);
  }
  /** Natural logarithm. */
  log(): Tensor {
    return unary.log(this);
  }
  /** Square root. */
  sqrt(): Tensor {
    return unary.sqrt(this);
  }
  /** 1 / √x */
  rsqrt(): Tensor {
    return unary.rsqrt(this);
  }
  /** x² */
  square(): Tensor {
    return unary.square(this);
  }
  /** Hyperbolic tangent. */
  tanh(): Tensor {
    return unary.tanh(this);
  }
  /** 1 / (1 + e⁻ˣ) */
  sigmoid(): Tensor {
    return unary.sigmoid(this);
  }
  /** max(x, 0); gradient 0 at 0. */
  relu(): Tensor {
    return unary.relu(this);
  }
  /** x · sigmoid(x). */
  silu(): Tensor {
    return unary.silu(this);
  }
  /** Gauss error function. */
  erf(): Tensor {
    return unary.erf(this);
  }
  /** x Φ(x); `approximate: "tanh"` takes the tanh form. */
  gelu(options: { approximate?: "none" | "tanh" } = {}): Tensor {
    return options.approximate === "tanh" ? unary.geluTanh(this) : gelu(this);
  }
  /** x · sigmoid(1.702 x), CLIP's approximation of GELU. */
  quickGelu(): Tensor {
    return unary.quickGelu(this);
  }
  /** Limits values to `[min, max]`; null leaves a side open. */
  clamp(min: number | null, max: number | null): Tensor {
    return unary.clamp(this, min, max);
  }
  /** `value` where `mask` (bool, broadcast) is true. */
  maskedFill(mask: Tensor, value: number): Tensor {
    return maskedFill(this, mask, value);
  }

  // ---- products of matrices ----

  /** Matrix product; leading dimensions are broadcast, 1-d operands are a row or a column. */
  matmul(other: Tensor): Tensor {
    return matmul(this, other);
  }
  /** `[B, M, K]` × `[B, K, N]` without broadcasting. */
  bmm(other: Tensor): Tensor {
    return bmm(this, other);
  }

  // ---- reductions ----

  /** Sum over `dim` (a number, several, or null for all). */
  sum(dim: number | readonly number[] | null = null, keepdim = false): Tensor {
    return sum(this, dim, keepdim);
  }
  /** Mean over `dim`. */
  mean(dim: number | readonly number[] | null = null, keepdim = false): Tensor {
    return mean(this, dim, keepdim);
  }
  /** Largest of all elements, or along `dim` with its places (i32). See `max` in ops/reduce. */
  max(): Tensor;
  max(dim: number, keepdim?: boolean): reduce.ValuesAndIndices;
  max(dim?: number, keepdim = false): Tensor | reduce.ValuesAndIndices {
    return dim === undefined ? reduce.max(this) : reduce.max(this, dim, keepdim);
  }
  /** Smallest of all elements, or along `dim` with its places (i32). */
  min(): Tensor;
  min(dim: number, keepdim?: boolean): reduce.ValuesAndIndices;
  min(dim?: number, keepdim = false): Tensor | reduce.ValuesAndIndices {
    return dim === undefined ? reduce.min(this) : reduce.min(this, dim, keepdim);
  }
  /** Place (i32) of the largest element along `dim`, or among all for null; the first of equal ones. */
  argmax(dim: number | null = null, keepdim = false): Tensor {
    return reduce.argmax(this, dim, keepdim);
  }
  /** Place (i32) of the smallest element. */
  argmin(dim: number | null = null, keepdim = false): Tensor {
    return reduce.argmin(this, dim, keepdim);
  }
  /** Product over `dim`, or of all elements for null. */
  prod(dim: number | null = null, keepdim = false): Tensor {
    return reduce.prod(this, dim, keepdim);
  }
  /** Variance over `dim`; `correction` 1 by default. */
  var(dim: number | readonly number[] | null = null, options: reduce.VarianceOptions = {}): Tensor {
    return reduce.variance(this, dim, options);
  }
  /** Standard deviation over `dim`; `correction` 1 by default. */
  std(dim: number | readonly number[] | null = null, options: reduce.VarianceOptions = {}): Tensor {
    return reduce.std(this, dim, options);
  }
  /** Length of the vectors along `dim`. */
  norm(dim: number | readonly number[] | null = null, options: reduce.NormOptions = {}): Tensor {
    return reduce.norm(this, dim, options);
  }
  /** Running sums along `dim`. */
  cumsum(dim: number): Tensor {
    return reduce.cumsum(this, dim);
  }

  // ---- picking and placing by index ----

  /** `y[i][j] = x[i][index[i][j]]` for `dim` 1. */
  gather(dim: number, index: Tensor): Tensor {
    return indexing.gather(this, dim, index);
  }
  /** A copy with `src` added at the places of `index` along `dim`. */
  scatterAdd(dim: number, index: Tensor, src: Tensor): Tensor {
    return indexing.scatterAdd(this, dim, index, src);
  }
  /** The entries of `dim` with the numbers in `index` (one dimension). */
  indexSelect(dim: number, index: Tensor): Tensor {
    return indexing.indexSelect(this, dim, index);
  }

  /** exp(x) / sum(exp(x)) along `dim`. */
  softmax(dim: number): Tensor {
    return softmax(this, dim);
  }
  /** log(softmax(x)) along `dim`, also where softmax underflows. */
  logSoftmax(dim: number): Tensor {
    return logSoftmax(this, dim);
  }

  // ---- shape: views, no copy where the strides allow it ----

  /** Another shape with the same elements; one size may be -1. */
  reshape(shape: Shape): Tensor {
    return views.reshape(this, shape);
  }
  /** Dimensions in another order. */
  permute(dims: readonly number[]): Tensor {
    return views.permute(this, dims);
  }
  /** Two dimensions swapped. */
  transpose(dim0: number, dim1: number): Tensor {
    return views.transpose(this, dim0, dim1);
  }
  /** Sizes of 1 (and new leading dimensions) repeated without a copy. */
  expand(shape: Shape): Tensor {
    return views.expand(this, shape);
  }
  /** `[start, stop, step]` a dimension, by Python's rules. */
  slice(ranges: readonly views.SliceRange[]): Tensor {
    return views.slice(this, ranges);
  }
  /** `length` entries of `dim` from `start` on. */
  narrow(dim: number, start: number, length: number): Tensor {
    return views.narrow(this, dim, start, length);
  }
  /** Entry `index` of `dim`, which disappears. */
  select(dim: number, index: number): Tensor {
    return views.select(this, dim, index);
  }
  /** Without dimensions of size 1 (or without `dim`, if it has size 1). */
  squeeze(dim?: number): Tensor {
    return views.squeeze(this, dim);
  }
  /** With a new dimension of size 1 before `dim`. */
  unsqueeze(dim: number): Tensor {
    return views.unsqueeze(this, dim);
  }
  /** Dimensions `startDim` to `endDim` merged into one. */
  flatten(startDim = 0, endDim = -1): Tensor {
    return views.flatten(this, startDim, endDim);
  }
  /** Main diagonal of the last two dimensions. */
  diagonal(): Tensor {
    return views.diagonal(this);
  }
  /** Parts along `dim`, of one length or of a list of lengths: views. */
  split(sizeOrSections: number | readonly number[], dim = 0): Tensor[] {
    return split(this, sizeOrSections, dim);
  }
  /** Surrounded with `value`: pairs (before, after), the last dimension first; negative numbers crop. */
  pad(pads: readonly number[], value = 0): Tensor {
    return pad(this, pads, value);
  }
  /** Reversed along `dims`: a copy. */
  flip(dims: number | readonly number[]): Tensor {
    return flip(this, dims);
  }
  /** The last two dimensions on and under a diagonal, 0 elsewhere. */
  tril(diagonal = 0): Tensor {
    return tril(this, diagonal);
  }
  /** The last two dimensions on and above a diagonal, 0 elsewhere. */
  triu(diagonal = 0): Tensor {
    return triu(this, diagonal);
  }
}

/** Host data in the layout of the device's storage. */
function hostBytes(data: TypedArray, dtype: Dtype): ArrayBufferView {
  switch (dtype) {
    case "f32":
      return data instanceof Float32Array ? data : Float32Array.from(data);
    case "f16":
      return Uint16Array.from(data, toHalfBits);
    case "i32":
      return data instanceof Int32Array ? data : Int32Array.from(data);
    case "u32":
      return data instanceof Uint32Array ? data : Uint32Array.from(data);
    case "bool":
      return Uint32Array.from(data, (v) => (v ? 1 : 0));
  }
}

function hostArray(raw: ArrayBuffer, offset: number, count: number, dtype: Dtype): TypedArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(raw, offset, count);
    case "f16":
      return Float32Array.from(new Uint16Array(raw, offset, count), fromHalfBits);
    case "i32":
      return new Int32Array(raw, offset, count);
    case "u32":
      return new Uint32Array(raw, offset, count);
    case "bool":
      return Uint8Array.from(new Uint32Array(raw, offset, count));
  }
}

function emptyArray(dtype: Dtype): TypedArray {
  return hostArray(new ArrayBuffer(0), 0, 0, dtype);
}
