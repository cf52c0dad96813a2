import { DeviceError, KernelError, type WgradError } from "../errors.js";
import type { OwnKernel } from "../kernels/ladder.js";
import { BufferUsage, MapMode, ShaderStage } from "./constants.js";
import type { Kernel, ParamValue, Specialisation } from "./kernel.js";
import { assemble, pipelineKey, storageAccess } from "./kernel.js";
import { BufferPool, type MemoryReport, type PooledBuffer } from "./pool.js";

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

interface Pipeline {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly layoutId: string;
}

const KNOWN_FEATURES: readonly GPUFeatureName[] = ["shader-f16", "subgroups", "timestamp-query"];
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
const PARAM_STRIDE = 256;
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

  readonly #wait: <T>(promise: Promise<T>) => Promise<T>;
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #params: GPUBuffer;
  readonly #paramBytes = new ArrayBuffer(PARAM_STRIDE * PARAM_SLOTS);
  readonly #paramWords = new Uint32Array(this.#paramBytes);
  readonly #paramFloats = new Float32Array(this.#paramBytes);
  readonly #staging = new Map<number, GPUBuffer[]>();
  #slot = 0;
  #encoder: GPUCommandEncoder | null = null;
  #pass: GPUComputePassEncoder | null = null;
  #submission = 1;
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
    return this.#encoder !== null;
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
   */
  run(
    kernel: Kernel,
    call: {
      buffers: readonly PooledBuffer[];
      params?: readonly ParamValue[];
      grid: readonly [number, number, number];
      specialisation?: Specialisation;
    },
  ): void {
    if (call.grid[0] === 0 || call.grid[1] === 0 || call.grid[2] === 0) return;
    if (this.#closed) this.check();
    if (this.#slot >= PARAM_SLOTS) this.submit();
    const pipeline = this.#pipeline(kernel, call.specialisation);
    const offset = this.#writeParams(call.params ?? []);
    const group = this.#bindGroup(pipeline, call.buffers);
    this.#encoder ??= this.gpu.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass();
    this.#pass.setPipeline(pipeline.pipeline);
    this.#pass.setBindGroup(0, group, [offset]);
    this.#pass.dispatchWorkgroups(call.grid[0], call.grid[1], call.grid[2]);
    for (const buffer of call.buffers) buffer.lastUse = this.#submission;
    this.counters.dispatches++;
  }

  /**
   * Records that the first `bytes` of a buffer (a multiple of 4) become 0. For large buffers some four times as fast as a
   * dispatch on a software driver, but it ends the compute pass.
   */
  clear(buffer: PooledBuffer, bytes: number): void {
    if (this.#closed) this.check();
    this.#encoder ??= this.gpu.createCommandEncoder();
    this.#pass?.end();
    this.#pass = null;
    this.#encoder.clearBuffer(buffer.buffer, 0, bytes);
    buffer.lastUse = this.#submission;
  }

  /** Sends everything recorded so far to the GPU. Does not wait for it. */
  submit(): void {
    if (!this.#encoder) return;
    this.#pass?.end();
    this.#pass = null;
    if (this.#slot > 0)
      this.gpu.queue.writeBuffer(this.#params, 0, this.#paramBytes, 0, this.#slot * PARAM_STRIDE);
    this.gpu.queue.submit([this.#encoder.finish()]);
    this.#encoder = null;
    this.#slot = 0;
    this.#submission++;
    this.counters.submissions++;
  }

  /** Copies host bytes into a buffer from the pool. */
  upload(data: ArrayBufferView, bytes = data.byteLength): PooledBuffer {
    const buffer = this.pool.acquire(Math.max(bytes, 4), this.#encoder ? this.#submission : undefined);
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
    this.#encoder ??= this.gpu.createCommandEncoder();
    this.#pass?.end();
    this.#pass = null;
    const size = 2 ** Math.ceil(Math.log2(Math.max(bytes, 256)));
    const free = this.#staging.get(size);
    const staging =
      free?.pop() ??
      this.gpu.createBuffer({
        label: "wgrad staging",
        size,
        usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST,
      });
    this.#encoder.copyBufferToBuffer(buffer.buffer, offset, staging, 0, bytes);
    this.submit();
    this.counters.readbacks++;
    try {
      await this.#wait(staging.mapAsync(MapMode.READ, 0, bytes));
    } catch (cause) {
      this.check();
      throw new DeviceError("E_DEVICE", `reading ${bytes} bytes back failed: ${(cause as Error).message}`, {
        cause,
      });
    }
    const copy = staging.getMappedRange(0, bytes).slice(0);
    staging.unmap();
    if (size <= 1 << 20) this.#staging.set(size, [...(this.#staging.get(size) ?? []), staging]);
    else staging.destroy();
    this.check();
    return copy;
  }

  /** Submits what is recorded and waits until the GPU has done it. */
  async synchronize(): Promise<void> {
    this.submit();
    await this.#wait(this.gpu.queue.onSubmittedWorkDone());
    // Errors of a submission arrive as events, which the next turn of the loop delivers.
    await new Promise((resolve) => setTimeout(resolve, 0));
    this.check();
  }

  /**
   * Submits what is recorded and waits until at most `inFlight` submissions are not yet done, so that a loop that reads nothing
   * back does not run ahead of the GPU without bound.
   */
  async pace(inFlight = 2): Promise<void> {
    if (this.#encoder) {
      this.submit();
      this.#unfinished.push(this.#wait(this.gpu.queue.onSubmittedWorkDone()));
    }
    while (this.#unfinished.length > inFlight) await this.#unfinished.shift();
    this.check();
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
    return { ...this.counters, buffersCreated: this.pool.report(0).created };
  }

  /** Frees everything and lets the process end. Tensors of a closed device cannot be used. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#pass?.end();
    this.#pass = null;
    this.#encoder = null;
    this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #writeParams(params: readonly ParamValue[]): number {
    if (params.length > PARAM_STRIDE / 4) {
      throw new KernelError(`a dispatch takes at most ${PARAM_STRIDE / 4} parameters, got ${params.length}.`);
    }
    const base = (this.#slot * PARAM_STRIDE) / 4;
    for (let i = 0; i < params.length; i++) {
      const value = params[i]!;
      if (typeof value === "number") this.#paramWords[base + i] = value;
      else this.#paramFloats[base + i] = value.f32;
    }
    return this.#slot++ * PARAM_STRIDE;
  }

  #pipeline(kernel: Kernel, specialisation: Specialisation | undefined): Pipeline {
    const key = pipelineKey(kernel, specialisation);
    const found = this.#pipelines.get(key);
    if (found) return found;
    for (const feature of kernel.requires ?? []) {
      if (!this.features.has(feature)) {
        throw new KernelError(
          `kernel ${kernel.name} needs the feature ${feature}, which this device does not have.`,
        );
      }
    }
    const { code, offset } = assemble(kernel, specialisation);
    const access = storageAccess(code);
    const layoutId = access.map((a) => (a === "read" ? "r" : "w")).join("");
    let layout = this.#layouts.get(layoutId);
    if (!layout) {
      layout = this.gpu.createBindGroupLayout({
        entries: [
          {
            binding: 0,
            visibility: ShaderStage.COMPUTE,
            buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: 0 },
          },
          ...access.map((a, i) => ({
            binding: i + 1,
            visibility: ShaderStage.COMPUTE,
            buffer: { type: (a === "read" ? "read-only-storage" : "storage") as GPUBufferBindingType },
          })),
        ],
      });
      this.#layouts.set(layoutId, layout);
    }
    this.gpu.pushErrorScope("validation");
    const module = this.gpu.createShaderModule({ label: kernel.name, code });
    const pipeline = this.gpu.createComputePipeline({
      label: kernel.name,
      layout: this.gpu.createPipelineLayout({ bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: "main" },
    });
    void this.gpu.popErrorScope().then(async (error) => {
      if (!error || this.#closed) return;
      const messages = (await module.getCompilationInfo()).messages.filter((m) => m.type === "error");
      const where = messages
        .map((m) => {
          const line = m.lineNum - offset;
          const place = line > 0 ? `line ${line}:${m.linePos}` : `line ${m.lineNum} of the generated head`;
          return `  ${place}: ${m.message}\n    ${code.split("\n")[m.lineNum - 1]?.trim() ?? ""}`;
        })
        .join("\n");
      this.#failure = new KernelError(
        `kernel ${kernel.name} does not compile (specialised as ${key}):\n${where || error.message}`,
      );
    });
    const made = { pipeline, layout, layoutId };
    this.#pipelines.set(key, made);
    this.counters.pipelinesCreated++;
    return made;
  }

  #bindGroup(pipeline: Pipeline, buffers: readonly PooledBuffer[]): GPUBindGroup {
    let key = pipeline.layoutId;
    for (const buffer of buffers) key += `,${buffer.id}`;
    const found = this.#bindGroups.get(key);
    if (found) return found;
    if (this.#bindGroups.size >= BIND_GROUP_LIMIT) this.#bindGroups.clear();
    const group = this.gpu.createBindGroup({
      layout: pipeline.layout,
      entries: [
        { binding: 0, resource: { buffer: this.#params, size: PARAM_STRIDE } },
        ...buffers.map((b, i) => ({ binding: i + 1, resource: { buffer: b.buffer } })),
      ],
    });
    this.#bindGroups.set(key, group);
    this.counters.bindGroupsCreated++;
    return group;
  }
}
