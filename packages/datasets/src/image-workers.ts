/** Threads that decode pictures, and the queue before them. */
import { Worker } from "node:worker_threads";
import { DatasetError, reason } from "./errors.js";
import type { ImageJob, ImageProcessor, ImageResult, ProcessSettings } from "./images/process-image.js";

/** A picture to be done, without its number. */
export type ImageTask = Omit<ImageJob, "id" | "out">;

interface Waiting {
  task: ImageTask;
  resolve(result: ImageResult): void;
  reject(error: DatasetError): void;
}

interface Thread {
  worker: Worker;
  busy: Map<number, Waiting>;
}

/**
 * Hands pictures to threads, to the one with the least to do, at most `maxInFlight` at a time over all of them; further ones wait.
 * Threads start with the first picture and keep no process alive that has nothing else to do. Without threads the work is done on the
 * calling one (decoding itself always runs on libuv's threads).
 */
export class ImageWorkers {
  readonly #settings: ProcessSettings;
  readonly #file: URL;
  readonly #numWorkers: number;
  readonly #maxInFlight: number;
  readonly #threads: Thread[] = [];
  readonly #queue: Waiting[] = [];
  /** Memory of pictures that are done with. */
  readonly #spare: Float32Array<ArrayBuffer>[] = [];
  #here: Promise<ImageProcessor> | null = null;
  #inFlight = 0;
  #nextId = 0;
  #isPumping = false;
  #isClosed = false;
  /** The most pictures that were being done at once. */
  peakInFlight = 0;

  /** @param file what a thread runs */
  constructor(
    settings: ProcessSettings,
    numWorkers: number,
    maxInFlight: number,
    file = new URL("./image.worker.js", import.meta.url),
  ) {
    this.#settings = settings;
    this.#file = file;
    this.#numWorkers = numWorkers;
    this.#maxInFlight = maxInFlight;
  }

  /** @returns what became of it; rejects with E_IMAGE_WORKER if the thread ended, or after `close` */
  run(task: ImageTask): Promise<ImageResult> {
    if (this.#isClosed) return Promise.reject(closed());
    return new Promise((resolve, reject) => {
      this.#queue.push({ task, resolve, reject });
      this.#pumpSoon();
    });
  }

  /** Takes back the pixels of a result, for the next picture: fresh memory costs more than filling it. */
  recycle(pixelValues: Float32Array<ArrayBuffer>): void {
    if (this.#spare.length < this.#maxInFlight) this.#spare.push(pixelValues);
  }

  /** Ends the threads; what is still waiting is rejected. */
  async close(): Promise<void> {
    this.#isClosed = true;
    const left = [...this.#queue.splice(0), ...this.#threads.flatMap(({ busy }) => [...busy.values()])];
    for (const { reject } of left) reject(closed());
    await Promise.all(this.#threads.splice(0).map(({ worker }) => worker.terminate()));
  }

  /** Once all pictures of a batch are in the queue. */
  #pumpSoon(): void {
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => {
      this.#isPumping = false;
      if (!this.#isClosed) this.#pump();
    });
  }

  #pump(): void {
    for (;;) {
      const free = this.#maxInFlight - this.#inFlight;
      if (free === 0 || this.#queue.length === 0) return;
      const next = this.#queue.splice(0, Math.min(free, this.#portion()));
      this.#inFlight += next.length;
      this.peakInFlight = Math.max(this.peakInFlight, this.#inFlight);
      if (this.#numWorkers === 0) void this.#doHere(next[0]!);
      else this.#post(next);
    }
  }

  /**
   * Pictures that go to a thread in one message, for messages cost: two messages for each thread at a time, and what is waiting shared
   * out among the threads.
   */
  #portion(): number {
    if (this.#numWorkers === 0) return 1;
    const half = Math.floor(this.#maxInFlight / this.#numWorkers / 2);
    return Math.max(1, Math.min(half, Math.ceil(this.#queue.length / this.#numWorkers)));
  }

  async #doHere({ task, resolve, reject }: Waiting): Promise<void> {
    try {
      this.#here ??= import("./images/process-image.js").then(
        ({ ImageProcessor }) => new ImageProcessor(this.#settings),
      );
      resolve(await (await this.#here).process(this.#jobOf(task)));
    } catch (thrown) {
      reject(ended(reason(thrown), thrown));
    } finally {
      this.#finish();
    }
  }

  #jobOf(task: ImageTask): ImageJob {
    return { ...task, id: this.#nextId++, out: this.#spare.pop() ?? null };
  }

  #post(portion: readonly Waiting[]): void {
    const thread = this.#leastBusy();
    if (thread.busy.size === 0) thread.worker.ref();
    const moved: ArrayBuffer[] = [];
    const jobs = portion.map((waiting) => {
      const job = this.#jobOf(waiting.task);
      thread.busy.set(job.id, waiting);
      if (job.out !== null) moved.push(job.out.buffer);
      if (job.bytes === null) return job;
      // A copy of the encoded bytes, which are the caller's: given away they would be gone from the caller's rows.
      const bytes = new Uint8Array(job.bytes);
      moved.push(bytes.buffer);
      return { ...job, bytes };
    });
    thread.worker.postMessage(jobs satisfies ImageJob[], moved);
  }

  #leastBusy(): Thread {
    const idle = this.#threads.find(({ busy }) => busy.size === 0);
    if (idle !== undefined) return idle;
    if (this.#threads.length < this.#numWorkers) return this.#start();
    return this.#threads.reduce((least, one) => (one.busy.size < least.busy.size ? one : least));
  }

  #start(): Thread {
    const worker = new Worker(this.#file, {
      workerData: this.#settings,
      name: "wgrad-images",
      // What a picture leaves behind are handles of memory outside of the heap. With the usual 48 MiB for young objects they are let go
      // so seldom that a thread grows by 10 MiB over its first thousands of pictures, and is no faster.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    const thread: Thread = { worker, busy: new Map() };
    let failure: unknown = null;
    worker.on("message", (results: ImageResult[]) => {
      for (const result of results) {
        const waiting = thread.busy.get(result.id);
        if (waiting === undefined) continue;
        thread.busy.delete(result.id);
        waiting.resolve(result);
        this.#finish();
      }
      if (thread.busy.size === 0) worker.unref();
    });
    worker.on("error", (thrown) => {
      failure = thrown;
    });
    // Comes after `error`. The next picture starts a thread anew.
    worker.on("exit", (code) => {
      const at = this.#threads.indexOf(thread);
      if (at >= 0) this.#threads.splice(at, 1);
      const lost = [...thread.busy.values()];
      thread.busy.clear();
      const why = failure === null ? `exit code ${code}` : reason(failure);
      for (const { reject } of lost) {
        reject(ended(why, failure));
        this.#finish();
      }
    });
    worker.unref();
    this.#threads.push(thread);
    return thread;
  }

  #finish(): void {
    this.#inFlight--;
    this.#pumpSoon();
  }
}

function closed(): DatasetError {
  return new DatasetError({
    code: "E_IMAGE_WORKER",
    where: "ImageLoader",
    message: "the loader is closed.",
    fix: "Close it after the last batch, or make a new one.",
  });
}

function ended(why: string, cause: unknown): DatasetError {
  return new DatasetError({
    code: "E_IMAGE_WORKER",
    where: "ImageLoader",
    message: `a thread that decodes pictures ended: ${why}.`,
    fix: "If memory ran out, use fewer workers or a smaller maxInFlight; numWorkers: 0 decodes on the calling thread.",
    cause,
  });
}
