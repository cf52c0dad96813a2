import { untrack } from "../autograd/modes.js";
import type { Encodable } from "../device/commands.js";
import { BufferUsage } from "../device/constants.js";
import { type Device, PARAM_STRIDE } from "../device/device.js";
import { type ParamValue, writeParams } from "../device/kernel.js";
import type { PooledBuffer } from "../device/pool.js";
import { CaptureError } from "../errors.js";
import { Storage } from "../storage.js";
import { Tensor } from "../tensor.js";
import type { PlanMemory } from "./memory.js";
import { type Binding, isTemporary, type StepRecorder, type Temporary, type Update } from "./recorder.js";

/** A copy between buffers. */
interface Copy {
  readonly from: PooledBuffer;
  readonly to: PooledBuffer;
  readonly bytes: number;
}

/** A tensor as it will be after each replay. */
interface Result {
  readonly like: Tensor;
  readonly storage: Storage;
}

const bytesToCopy = (buffer: PooledBuffer) => (buffer.requested + 3) & ~3;

/** A recorded step with buffers of its own: what is replayed. */
export class Plan {
  readonly #device: Device;
  readonly #list: Encodable[] = [];
  readonly #guards: readonly (() => boolean)[];
  readonly #updates: readonly Update[];
  readonly #slots = new Map<object, number>();
  readonly #words: Uint32Array<ArrayBuffer>;
  readonly #floats: Float32Array;
  readonly #params: GPUBuffer;
  readonly #liveSlots: number;
  readonly #inputs: readonly PooledBuffer[];
  readonly #pinned: readonly PooledBuffer[];
  readonly #results = new Map<Tensor, Result>();
  readonly #gradients: { leaf: Tensor; like: Tensor | null; storage: Storage | null }[] = [];
  readonly #dispatches: number;

  /**
   * @param inputs arguments of the step, whose buffers the recording names
   * @param results tensors that the step returned
   * @throws CaptureError if the step changes an argument in place
   */
  constructor(
    device: Device,
    memory: PlanMemory,
    recording: StepRecorder,
    inputs: readonly Tensor[],
    results: readonly Tensor[],
  ) {
    this.#device = device;
    this.#guards = recording.guards();
    this.#updates = recording.updates;
    const { commands } = recording;
    // ---- where everything lies ----
    const places = new Map<Binding, PooledBuffer>();
    const kept: Copy[] = [];
    this.#inputs = inputs.map(({ storage: { buffer } }) => {
      const own = memory.reserve(buffer.requested);
      places.set(buffer, own);
      return own;
    });
    const lasting = new Set<Temporary>();
    const settle = (buffer: PooledBuffer, make: (bytes: number) => Storage): Storage | null => {
      const binding = recording.bindingOf(buffer);
      if (!isTemporary(binding)) return null;
      const storage = make(binding.bytes);
      lasting.add(binding);
      places.set(binding, storage.buffer);
      return storage;
    };
    for (const leaf of recording.subjects("gradient") as Tensor[]) {
      const { grad } = leaf;
      if (!grad) {
        this.#gradients.push({ leaf, like: null, storage: null });
        continue;
      }
      const { buffer } = grad.storage;
      const storage = settle(buffer, (bytes) => memory.gradient(leaf, bytes));
      if (!storage) continue;
      this.#gradients.push({ leaf, like: grad, storage });
      kept.push({ from: buffer, to: storage.buffer, bytes: bytesToCopy(buffer) });
    }
    for (const result of results) {
      const known = recording.bindingOf(result.storage.buffer);
      const again = [...this.#results.values()].find((other) => other.like.storage === result.storage);
      const place = places.get(known);
      const storage =
        again?.storage ??
        (place ? this.#held(place) : settle(result.storage.buffer, (bytes) => memory.storage(bytes))) ??
        result.storage;
      this.#results.set(result, { like: result, storage });
    }
    const temporaries = recording.temporaries.filter((t) => t.first >= 0 && !lasting.has(t));
    for (const [temporary, buffer] of memory.place(temporaries)) places.set(temporary, buffer);
    const external = new Set<PooledBuffer>();
    const placeOf = (binding: Binding): PooledBuffer => {
      const place = places.get(binding);
      if (place) return place;
      external.add(binding as PooledBuffer);
      return binding as PooledBuffer;
    };
    // ---- parameters: those that change come first, so that one write renews them ----
    const dispatches = commands.flatMap(({ command }) => (command.kind === "dispatch" ? [command] : []));
    const live = new Set(recording.updates.flatMap((update) => ("live" in update ? [update.live] : [])));
    for (const dispatch of [...live, ...dispatches.filter((d) => !live.has(d))]) {
      this.#slots.set(dispatch, this.#slots.size);
    }
    this.#dispatches = dispatches.length;
    this.#liveSlots = live.size;
    this.#words = new Uint32Array((Math.max(dispatches.length, 1) * PARAM_STRIDE) / 4);
    this.#floats = new Float32Array(this.#words.buffer);
    for (const dispatch of dispatches) this.#write(dispatch);
    this.#params = device.gpu.createBuffer({
      label: "wgrad captured params",
      size: this.#words.byteLength,
      usage: BufferUsage.UNIFORM | BufferUsage.COPY_DST,
    });
    device.gpu.queue.writeBuffer(this.#params, 0, this.#words);
    // ---- what is encoded ----
    const inputBuffers = new Set(inputs.map((input) => input.storage.buffer));
    const groups = new Map<string, GPUBindGroup>();
    for (const { command, bindings } of commands) {
      const buffers = bindings.map(placeOf);
      if (command.kind === "clear") {
        this.#list.push({ kind: "clear", buffer: buffers[0]!.buffer, bytes: command.bytes });
        continue;
      }
      const { pipeline } = command;
      const changed = command.buffers.findIndex(
        (buffer, i) => pipeline.layoutId[i] === "w" && inputBuffers.has(buffer),
      );
      if (changed >= 0) {
        throw new CaptureError(
          `capture: the step changes its argument in place (kernel ${command.kernel.name}). ` +
            "Let it use that tensor from outside instead of passing it.",
        );
      }
      const key = `${pipeline.layoutId},${buffers.map((buffer) => buffer.id).join()}`;
      const group = groups.get(key) ?? device.makeBindGroup(pipeline, this.#params, buffers);
      groups.set(key, group);
      this.#list.push({
        kind: "dispatch",
        pipeline: pipeline.gpu(),
        group,
        offset: this.#slots.get(command)! * PARAM_STRIDE,
        grid: command.grid,
        source: command,
      });
    }
    this.#pinned = [...external];
    for (const buffer of this.#pinned) device.pool.pin(buffer);
    // From now on gradients lie where a replay leaves them.
    if (kept.length > 0) device.replay([], kept, 0);
    this.#leaveGradients();
  }

  /** True if everything that the recording took for granted is still so. */
  holds(): boolean {
    return this.#guards.every((guard) => guard());
  }

  /** Runs the step again with other arguments, whose shapes and types are those of the recording, and submits it. */
  replay(inputs: readonly Tensor[]): void {
    const device = this.#device;
    for (const update of this.#updates) {
      if ("effect" in update) update.effect();
      else this.#write(update.live);
    }
    const copies = inputs.map(({ storage: { buffer } }, i) => {
      const to = this.#inputs[i]!;
      return { from: buffer, to, bytes: bytesToCopy(to) };
    });
    // What was recorded before goes first: it may read parameters of the last replay no more, but buffers of it.
    device.submit();
    if (this.#liveSlots > 0) {
      device.gpu.queue.writeBuffer(this.#params, 0, this.#words.buffer, 0, this.#liveSlots * PARAM_STRIDE);
    }
    device.replay(this.#list, copies, this.#dispatches);
    this.#leaveGradients();
  }

  /** The tensor that stands for one that the recorded step returned: valid until the next replay. */
  resultOf(recorded: Tensor): Tensor {
    const { like, storage } = this.#results.get(recorded)!;
    return new Tensor(storage, like.shape, like.strides, like.offset, like.dtype);
  }

  dispose(): void {
    for (const buffer of this.#pinned) this.#device.pool.unpin(buffer);
    this.#params.destroy();
  }

  #held(buffer: PooledBuffer): Storage {
    const storage = new Storage(this.#device, buffer);
    storage.retain();
    return storage;
  }

  #write(dispatch: { readonly params: readonly ParamValue[] }): void {
    writeParams(dispatch.params, this.#words, this.#floats, (this.#slots.get(dispatch)! * PARAM_STRIDE) / 4);
  }

  #leaveGradients(): void {
    for (const { leaf, like, storage } of this.#gradients) {
      if (leaf.grad && leaf.grad.storage === storage) continue;
      leaf.grad?.dispose();
      leaf.grad = null;
      if (!storage || !like) continue;
      leaf.grad = new Tensor(storage, like.shape, like.strides, like.offset, like.dtype);
      untrack(leaf.grad);
    }
  }
}
