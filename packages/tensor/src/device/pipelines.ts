import { KernelError, type WgradError } from "../errors.js";
import { ShaderStage } from "./constants.js";
import type { Kernel, Specialisation } from "./kernel.js";
import { assemble, pipelineKey, storageAccess } from "./kernel.js";

/** A compiled program, or one that is being compiled. */
export interface Pipeline {
  readonly name: string;
  /** The whole WGSL text. */
  readonly code: string;
  readonly layout: GPUBindGroupLayout;
  /** Same text, same layout: bind groups are shared by it. */
  readonly layoutId: string;
  /** The program; compiled on the spot if nobody has begun to. */
  gpu(): GPUComputePipeline;
}

/** How many programs of a `Device.prepare` are compiled. */
export interface CompileProgress {
  readonly done: number;
  readonly total: number;
  /** The program that was finished last. */
  readonly kernel: string;
}

/** The programs of a device, each compiled once for each specialisation. */
export class Pipelines {
  created = 0;
  readonly #gpu: GPUDevice;
  readonly #features: ReadonlySet<string>;
  readonly #fail: (error: WgradError) => void;
  readonly #made = new Map<string, Pipeline>();
  readonly #layouts = new Map<string, { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout }>();
  /** Programs whose compiler has not yet said whether it took them. */
  readonly #unchecked = new Set<Promise<void>>();
  #ahead: { name: string; done: Promise<unknown> }[] | null = null;

  constructor(gpu: GPUDevice, features: ReadonlySet<string>, fail: (error: WgradError) => void) {
    this.#gpu = gpu;
    this.#features = features;
    this.#fail = fail;
  }

  /** @throws KernelError if the device lacks a feature that the program needs */
  get(kernel: Kernel, specialisation: Specialisation | undefined): Pipeline {
    const key = pipelineKey(kernel, specialisation);
    const found = this.#made.get(key);
    if (found) return found;
    for (const feature of kernel.requires ?? []) {
      if (!this.#features.has(feature)) {
        throw new KernelError(
          `kernel ${kernel.name} needs the feature ${feature}, which this device does not have.`,
        );
      }
    }
    const { code, offset } = assemble(kernel, specialisation);
    const access = storageAccess(code);
    const layoutId = access.map((a) => (a === "read" ? "r" : "w")).join("");
    const layout = this.#layout(layoutId);
    const made = this.#compile(kernel.name, key, code, offset, layout, layoutId);
    this.#made.set(key, made);
    this.created++;
    return made;
  }

  /**
   * Waits until every program met so far is known to compile, or its error is reported: what runs an invalid program fails
   * with an error of its own, that does not name it and may come first.
   */
  async checked(): Promise<void> {
    if (this.#unchecked.size > 0) await Promise.all(this.#unchecked);
  }

  /** From now on programs are compiled in the background; `compiled` ends that. */
  compileAhead(): void {
    this.#ahead = [];
  }

  /** Waits for all programs met since `compileAhead`. */
  async compiled(onProgress: ((progress: CompileProgress) => void) | undefined): Promise<void> {
    const jobs = this.#ahead ?? [];
    this.#ahead = null;
    let done = 0;
    const report = (kernel: string) => onProgress?.({ done: ++done, total: jobs.length, kernel });
    await Promise.all(jobs.map((job) => job.done.then(() => report(job.name))));
  }

  #compile(
    name: string,
    key: string,
    code: string,
    offset: number,
    layout: { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout },
    layoutId: string,
  ): Pipeline {
    let program: GPUComputePipeline | null = null;
    let module: GPUShaderModule | null = null;
    const describe = (): GPUComputePipelineDescriptor => {
      module ??= this.#gpu.createShaderModule({ label: name, code });
      return { label: name, layout: layout.pipeline, compute: { module, entryPoint: "main" } };
    };
    const failed = async (message: string) => {
      const where = await explain(module!, code, offset);
      this.#fail(
        new KernelError(`kernel ${name} does not compile (specialised as ${key}):\n${where || message}`),
      );
    };
    if (this.#ahead) {
      // The module's own errors come with the pipeline's: their scope only keeps them from being reported twice.
      this.#gpu.pushErrorScope("validation");
      const job = this.#gpu.createComputePipelineAsync(describe());
      void this.#gpu.popErrorScope();
      const done = job.then(
        (made) => {
          program ??= made;
        },
        (error: Error) => failed(error.message),
      );
      this.#ahead.push({ name, done });
    }
    return {
      name,
      code,
      layout: layout.group,
      layoutId,
      gpu: () => {
        if (program) return program;
        this.#gpu.pushErrorScope("validation");
        program = this.#gpu.createComputePipeline(describe());
        const check = this.#gpu
          .popErrorScope()
          .then((error) => (error ? failed(error.message) : undefined))
          // A lost device rejects; that is reported for itself.
          .catch(() => undefined)
          .finally(() => this.#unchecked.delete(check));
        this.#unchecked.add(check);
        return program;
      },
    };
  }

  #layout(id: string): { group: GPUBindGroupLayout; pipeline: GPUPipelineLayout } {
    const found = this.#layouts.get(id);
    if (found) return found;
    const params: GPUBindGroupLayoutEntry = {
      binding: 0,
      visibility: ShaderStage.COMPUTE,
      buffer: { type: "uniform", hasDynamicOffset: true, minBindingSize: 0 },
    };
    const storage = [...id].map(
      (access, i): GPUBindGroupLayoutEntry => ({
        binding: i + 1,
        visibility: ShaderStage.COMPUTE,
        buffer: { type: access === "r" ? "read-only-storage" : "storage" },
      }),
    );
    const group = this.#gpu.createBindGroupLayout({ entries: [params, ...storage] });
    const made = { group, pipeline: this.#gpu.createPipelineLayout({ bindGroupLayouts: [group] }) };
    this.#layouts.set(id, made);
    return made;
  }
}

/** The compiler's errors with the line and column of the kernel's own file; "" if it has none. */
async function explain(module: GPUShaderModule, code: string, offset: number): Promise<string> {
  const { messages } = await module.getCompilationInfo();
  return messages
    .filter((message) => message.type === "error")
    .map(({ lineNum, linePos, message }) => {
      const line = lineNum - offset;
      const where = line > 0 ? `line ${line}:${linePos}` : `line ${lineNum} of the generated head`;
      return `  ${where}: ${message}\n    ${code.split("\n")[lineNum - 1]?.trim() ?? ""}`;
    })
    .join("\n");
}
