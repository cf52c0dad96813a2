import { DeviceError, KernelError, type WgradError } from "../errors.js";
import type { OwnKernel } from "../kernels/ladder.js";
import {
  type Command,
  type Cost,
  type Dispatch,
  type Encodable,
  encode,
  type PassTimer,
} from "./commands.js";
import { BufferUsage, MapMode } from "./constants.js";
import { type Kernel, type ParamValue, type Specialisation, writeParams } from "./kernel.js";
import { type CompileProgress, type Pipeline, Pipelines } from "./pipelines.js";
import { place } from "./place.js";
import { BufferPool, type MemoryReport, type PooledBuffer } from "./pool.js";
import { currentRecorder } from "./recording.js";

/** How a device is asked for. */
export interface DeviceOptions {
  /** Which adapter, where there are several. */
  powerPreference?: GPUPowerPreference;
  /** Features to use: all that the adapter has among those the engine knows (default), or just these. */
  features?: readonly GPUFeatureName[];
  /** `"adapter"` (default) asks for all the adapter offers, `"default"` for WebGPU's guaranteed limits only. */
  limits?: "adapter" | "default";
}

/** What the engine counts. Differences between two snapshots tell what a step did. */
export interface DeviceCounters {
  dispatches: number;
  submissions: number;
  buffersCreated: number;
  bindGroupsCreated: number;
  pipelinesCreated: number;
  readbacks: number;
}

const KNOWN_FEATURES = [
  "shader-f16",
  "subgroups",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix" as GPUFeatureName,
] as const;
const WANTED_LIMITS = [
  "maxStorageBuffersPerShaderStage",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
  "maxComputeWorkgroupStorageSize",
] as const;

/** Bytes between the parameter blocks of two dispatches: the largest alignment that WebGPU allows an adapter to ask for. */
export const PARAM_STRIDE = 256;
const PARAM_SLOTS = 4096;
const BIND_GROUP_LIMIT = 8192;

/**
 * A WebGPU device with what the engine keeps for it: the pool of buffers, compiled pipelines, bind groups and the
 * command encoder that collects dispatches until something is read or `submit` is called.
 */
export class Device {
  readonly gpu: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly features: ReadonlySet<string>;
  readonly limits: GPUSupportedLimits;
  /** Lanes of a subgroup if the adapter has `subgroups` and always uses the same number, else 0. Never assume one. */
  readonly subgroupSize: number;
  readonly pool: BufferPool;
  readonly counters: DeviceCounters = {
    dispatches: 0,
    submissions: 0,
    buffersCreated: 0,
    bindGroupsCreated: 0,
    pipelinesCreated: 0,
    readbacks: 0,
  };
  /** Variant to use for an op in place of the static rule's choice, by op name: `device.variants.set("matmul", "2-tile")`. */
  readonly variants = new Map<string, string>();
  /** Variants found fastest here, by `<op> <shape class>`: see `loadTuning`. */
  readonly tuned = new Map<string, string>();
  /** The user's own kernels by op name; each stands in for the engine's: see `choose`. */
  readonly ownKernels = new Map<string, OwnKernel>();
  /** Tensor handles not yet disposed; kept by `Tensor`. */
  liveTensors = 0;
  /** Times each dispatch while it is set; a profiler sets it. */
  timer: PassTimer | null = null;

  readonly #wait: <T>(promise: Promise<T>) => Promise<T>;
  readonly #pipelines: Pipelines;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #params: GPUBuffer;
  readonly #paramBytes = new ArrayBuffer(PARAM_STRIDE * PARAM_SLOTS);
  readonly #paramWords = new Uint32Array(this.#paramBytes);
  readonly #paramFloats = new Float32Array(this.#paramBytes);
  readonly #staging = new Map<number, GPUBuffer[]>();
  #commands: Command[] = [];
  #slot = 0;
  #submission = 1;
  /** Submissions before this one are waited for by somebody. */
  #paced = 1;
  #preparing = false;
  #trace: Dispatch[] | null = null;
  #unfinished: Promise<undefined>[] = [];
  #failure: WgradError | null = null;
  #closed = false;

  private constructor(gpu: GPUDevice, info: GPUAdapterInfo, wait: <T>(promise: Promise<T>) => Promise<T>) {
    this.gpu = gpu;
    this.info = info;
    this.features = gpu.features as ReadonlySet<string>;
    this.limits = gpu.limits;
    const sizes = info as GPUAdapterInfo & { subgroupMinSize?: number; subgroupMaxSize?: number };
    const fixed = sizes.subgroupMinSize !== undefined && sizes.subgroupMinSize === sizes.subgroupMaxSize;
    this.subgroupSize = this.features.has("subgroups") && fixed ? sizes.subgroupMinSize! : 0;
    this.#wait = wait;
    this.#pipelines = new Pipelines(gpu, this.features, (error) => {
      if (!this.#closed) this.#failure = error;
    });
    this.pool = new BufferPool(gpu);
    this.pool.onDestroy = () => this.#bindGroups.clear();
    this.#params = gpu.createBuffer({
      label: "wgrad params",
      size: PARAM_STRIDE * PARAM_SLOTS,
      usage: BufferUsage.UNIFORM | BufferUsage.COPY_DST,
    });
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault?.();
      this.#failure ??= new DeviceError("E_DEVICE", `the GPU reported an error: ${event.error.message}`);
    });
    void gpu.lost.then((lost) => {
      if (this.#closed) return;
      this.#failure = new DeviceError(
        "E_DEVICE_LOST",
        `the GPU device was lost (${lost.reason || "unknown reason"}): ${lost.message || "no message from the driver"}. ` +
          "Tensors on it are gone; open a new device and load the last checkpoint.",
      );
    });
  }

  /**
   * Opens a device of a WebGPU implementation: `navigator.gpu`, or Dawn's in Node (see `@wgrad/tensor/node`).
   * @param wait how to await the GPU; Node slows Dawn's polling down here
   * @throws DeviceError `E_NO_ADAPTER` if there is none, or it lacks a feature asked for
   */
  static async open(
    gpu: GPU,
    options: DeviceOptions = {},
    wait: <T>(promise: Promise<T>) => Promise<T> = (promise) => promise,
  ): Promise<Device> {
    const adapter = await gpu.requestAdapter({ powerPreference: options.powerPreference });
    if (!adapter) {
      throw new DeviceError(
        "E_NO_ADAPTER",
        "no WebGPU adapter was found. Run `wgrad doctor`: it names what is missing and the command that mends it.",
      );
    }
    const wanted = options.features ?? KNOWN_FEATURES;
    const missing = options.features?.filter((name) => !adapter.features.has(name)) ?? [];
    if (missing.length > 0) {
      throw new DeviceError(
        "E_NO_ADAPTER",
        `the adapter ${adapter.info.description} lacks ${missing.join(", ")}.`,
      );
    }
    const requiredLimits: Record<string, number> = {};
    if (options.limits !== "default") {
      for (const name of WANTED_LIMITS) requiredLimits[name] = adapter.limits[name];
    }
    const device = await adapter.requestDevice({
      label: "wgrad",
      requiredFeatures: wanted.filter((name) => adapter.features.has(name)),
      requiredLimits,
    });
    return new Device(device, adapter.info, wait);
  }

  /** One line for logs: `llvmpipe (LLVM 15.0.6, 256 bits), mesa, subgroups of 8, f16`. */
  get description(): string {
    const { description, device, architecture, vendor } = this.info;
    const parts = [description || device || architecture || "unknown adapter", vendor];
    if (this.features.has("subgroups")) parts.push(`subgroups of ${this.subgroupSize || "varying size"}`);
    if (this.features.has("shader-f16")) parts.push("f16");
    return parts.filter(Boolean).join(", ");
  }

  /** Number of the submission that commands recorded now will be part of. */
  get submission(): number {
    return this.#submission;
  }

  /** True if commands are recorded that no submission holds yet. */
  get pending(): boolean {
    return this.#commands.length > 0;
  }

  /** True inside `prepare`: programs are being compiled, and nothing is submitted yet. */
  get preparing(): boolean {
    return this.#preparing;
  }

  /** Throws what went wrong on the device since the last call, if anything. */
  check(): void {
    if (this.#closed) throw new DeviceError("E_DEVICE_LOST", "the device is closed.");
    const failure = this.#failure;
    if (failure) {
      if (failure.code !== "E_DEVICE_LOST") this.#failure = null;
      throw failure;
    }
  }

  /**
   * Records one dispatch.
   * @param buffers bindings 1, 2, … in order
   * @param params the values of the `Params` struct in order; at most 64
   * @param grid workgroups in x, y, z; nothing is recorded if one is 0
   * @param cost for profiles; by default no operation, and the bytes that the holders of the buffers asked for
   */
  run(
    kernel: Kernel,
    call: {
      buffers: readonly PooledBuffer[];
      params?: readonly ParamValue[];
      grid: readonly [number, number, number];
      specialisation?: Specialisation;
      cost?: Cost;
    },
  ): void {
    if (call.grid[0] === 0 || call.grid[1] === 0 || call.grid[2] === 0) return;
    if (this.#closed) this.check();
    if (this.#slot >= PARAM_SLOTS) this.#flush();
    const params = call.params ?? [];
    if (params.length > PARAM_STRIDE / 4) {
      throw new KernelError(`a dispatch takes at most ${PARAM_STRIDE / 4} parameters, got ${params.length}.`);
    }
    const dispatch: Dispatch = {
      kind: "dispatch",
      kernel,
      specialisation: call.specialisation,
      pipeline: this.#pipelines.get(kernel, call.specialisation),
      buffers: call.buffers,
      params,
      grid: call.grid,
      place: place(),
      cost: call.cost ?? { flop: 0, bytes: call.buffers.reduce((sum, buffer) => sum + buffer.requested, 0) },
      slot: this.#slot++,
    };
    writeParams(params, this.#paramWords, this.#paramFloats, (dispatch.slot * PARAM_STRIDE) / 4);
    for (const buffer of call.buffers) buffer.lastUse = this.#submission;
    this.counters.dispatches++;
    this.#enqueue(dispatch);
    this.#trace?.push(dispatch);
  }

  /**
   * Records that the first `bytes` of a buffer (a multiple of 4) become 0. For large buffers some four times as fast as a
   * dispatch on a software driver, but it ends the compute pass.
   */
  clear(buffer: PooledBuffer, bytes: number): void {
    if (this.#closed) this.check();
    buffer.lastUse = this.#submission;
    this.#enqueue({ kind: "clear", buffer, bytes });
  }

  /** Sends everything recorded so far to the GPU. Does not wait for it. Inside `prepare` it is sent when that ends. */
  submit(): void {
    if (!this.#preparing) this.#flush();
  }

  /**
   * Runs `body`, which enqueues work (a training step), while its programs are compiled in parallel in the background, and
   * submits the work when they are ready: for a first step, which else compiles them one after the other.
   * @param onProgress called after each program
   */
  async prepare<T>(body: () => T, onProgress?: (progress: CompileProgress) => void): Promise<T> {
    this.submit();
    this.#preparing = true;
    this.#pipelines.compileAhead();
    let result: T;
    try {
      result = body();
    } finally {
      try {
        await this.#wait(this.#pipelines.compiled(onProgress));
      } finally {
        this.#preparing = false;
      }
    }
    this.submit();
    return result;
  }

  /** The dispatches that `body` makes, which are carried out all the same. */
  trace(body: () => void): readonly Dispatch[] {
    const before = this.#trace;
    const mine: Dispatch[] = [];
    this.#trace = mine;
    try {
      body();
    } finally {
      this.#trace = before;
      before?.push(...mine);
    }
    return mine;
  }

  /**
   * Encodes and submits a list made beforehand, after everything recorded so far: a captured step.
   * @param copies from the first buffer of a pair to the second, before the list
   */
  replay(
    list: readonly Encodable[],
    copies: readonly { from: PooledBuffer; to: PooledBuffer; bytes: number }[],
    dispatches: number,
  ): void {
    if (this.#closed) this.check();
    const encoder = this.#encode();
    for (const { from, to, bytes } of copies) {
      encoder.copyBufferToBuffer(from.buffer, 0, to.buffer, 0, bytes);
      from.lastUse = this.#submission;
    }
    encode(encoder, list, this.timer);
    this.counters.dispatches += dispatches;
    this.#finish(encoder);
  }

  /** A bind group over a parameter buffer and storage buffers for `pipeline`; the caller keeps it. */
  makeBindGroup(pipeline: Pipeline, params: GPUBuffer, buffers: readonly PooledBuffer[]): GPUBindGroup {
    this.counters.bindGroupsCreated++;
    return this.gpu.createBindGroup({
      layout: pipeline.layout,
      entries: [
        { binding: 0, resource: { buffer: params, size: PARAM_STRIDE } },
        ...buffers.map((b, i) => ({ binding: i + 1, resource: { buffer: b.buffer } })),
      ],
    });
  }

  /** Copies host bytes into a buffer from the pool. */
  upload(data: ArrayBufferView, bytes = data.byteLength): PooledBuffer {
    currentRecorder()?.refuse(
      "it brings data from the host (Tensor.from). Make such tensors before, and pass them to the step as arguments",
    );
    const buffer = this.pool.acquire(Math.max(bytes, 4), this.pending ? this.#submission : undefined);
    const whole = data.byteLength & ~3;
    const source = data.buffer instanceof ArrayBuffer ? data.buffer : null;
    if (source && whole === data.byteLength) {
      if (whole > 0) this.gpu.queue.writeBuffer(buffer.buffer, 0, source, data.byteOffset, whole);
    } else {
      // Odd sizes (f16) are padded to whole words, and Dawn takes no view of shared memory: both are copied first.
      const copy = new Uint8Array((data.byteLength + 3) & ~3);
      copy.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      this.gpu.queue.writeBuffer(buffer.buffer, 0, copy);
    }
    return buffer;
  }

  /**
   * Submits what is recorded and reads `bytes` of a buffer from `offset` (both multiples of 4).
   * @throws the error the device met since the last read, if any
   */
  async read(buffer: PooledBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    this.check();
    if (bytes === 0) return new ArrayBuffer(0);
    const encoder = this.#encode();
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 256)));
    const free = this.#staging.get(size);
    const staging =
      free?.pop() ??
      this.gpu.createBuffer({
        label: "wgrad staging",
        size,
        usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST,
      });
    encoder.copyBufferToBuffer(buffer.buffer, offset, staging, 0, bytes);
    this.#finish(encoder);
    this.counters.readbacks++;
    try {
      await this.#wait(staging.mapAsync(MapMode.READ, 0, bytes));
    } catch (cause) {
      await this.#checked();
      throw new DeviceError("E_DEVICE", `reading ${bytes} bytes back failed: ${(cause as Error).message}`, {
        cause,
      });
    }
    const copy = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    if (size <= 1 << 20) this.#staging.set(size, [...(this.#staging.get(size) ?? []), staging]);
    else staging.destroy();
    await this.#checked();
    return copy;
  }

  /** Submits what is recorded and waits until the GPU has done it. */
  async synchronize(): Promise<void> {
    this.submit();
    await this.#wait(this.gpu.queue.onSubmittedWorkDone());
    // Errors of a submission arrive as events, which the next turn of the loop delivers.
    await new Promise((resolve) => setTimeout(resolve, 0));
    await this.#checked();
  }

  /**
   * Submits what is recorded and waits until at most `inFlight` submissions are not yet done, so that a loop that reads nothing
   * back does not run ahead of the GPU without bound.
   */
  async pace(inFlight = 2): Promise<void> {
    this.submit();
    if (this.#submission > this.#paced) {
      this.#paced = this.#submission;
      this.#unfinished.push(this.#wait(this.gpu.queue.onSubmittedWorkDone()));
    }
    while (this.#unfinished.length > inFlight) await this.#unfinished.shift();
    await this.#checked();
  }

  /** Gives the memory of free buffers back to the driver, as `torch.cuda.empty_cache`. Submits what is recorded. */
  emptyCache(): void {
    this.submit();
    this.pool.trim();
  }

  /** Bytes and buffers in use. */
  memory(): MemoryReport {
    return this.pool.report(this.liveTensors);
  }

  /** The counters now, with buffers counted by the pool. */
  snapshot(): DeviceCounters {
    const { dispatches, submissions, bindGroupsCreated, readbacks } = this.counters;
    return {
      dispatches,
      submissions,
      bindGroupsCreated,
      readbacks,
      buffersCreated: this.pool.report(0).created,
      pipelinesCreated: this.#pipelines.created,
    };
  }

  /** Frees everything and lets the process end. Tensors of a closed device cannot be used. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#commands = [];
    this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  /** `check` once the compiler has had its say, so that a program that does not compile is named. */
  async #checked(): Promise<void> {
    await this.#wait(this.#pipelines.checked());
    this.check();
  }

  #enqueue(command: Command): void {
    this.#commands.push(command);
    currentRecorder()?.command(command);
  }

  #flush(): void {
    if (this.#commands.length > 0) this.#finish(this.#encode());
  }

  /** An encoder with everything recorded so far. */
  #encode(): GPUCommandEncoder {
    if (this.#slot > 0)
      this.gpu.queue.writeBuffer(this.#params, 0, this.#paramBytes, 0, this.#slot * PARAM_STRIDE);
    const encoder = this.gpu.createCommandEncoder();
    encode(encoder, this.#encodable(), this.timer);
    this.#commands = [];
    this.#slot = 0;
    return encoder;
  }

  *#encodable(): Generator<Encodable> {
    for (const command of this.#commands) {
      if (command.kind === "clear") {
        yield { kind: "clear", buffer: command.buffer.buffer, bytes: command.bytes };
        continue;
      }
      yield {
        kind: "dispatch",
        pipeline: command.pipeline.gpu(),
        group: this.#bindGroup(command.pipeline, command.buffers),
        offset: command.slot * PARAM_STRIDE,
        grid: command.grid,
        source: command,
      };
    }
  }

  #finish(encoder: GPUCommandEncoder): void {
    this.gpu.queue.submit([encoder.finish()]);
    this.#submission++;
    this.counters.submissions++;
  }

  #bindGroup(pipeline: Pipeline, buffers: readonly PooledBuffer[]): GPUBindGroup {
    let key = pipeline.layoutId;
    for (const buffer of buffers) key += `,${buffer.id}`;
    const found = this.#bindGroups.get(key);
    if (found) return found;
    if (this.#bindGroups.size >= BIND_GROUP_LIMIT) this.#bindGroups.clear();
    const group = this.makeBindGroup(pipeline, this.#params, buffers);
    this.#bindGroups.set(key, group);
    return group;
  }
}
