import type { Dispatch, PassTimer } from "../device/commands.js";
import { BufferUsage, MapMode } from "../device/constants.js";
import type { Device } from "../device/device.js";

/** Most queries that WebGPU allows in one set. */
const QUERIES = 4096;

/** A query set with where its values go. */
interface QueryBlock {
  readonly queries: GPUQuerySet;
  readonly resolved: GPUBuffer;
  readonly staging: GPUBuffer;
  used: number;
}

/** A dispatch and when it ran. */
export interface TimedDispatch {
  readonly dispatch: Dispatch;
  /** Nanoseconds on the GPU's clock; null where there are no timestamps. */
  readonly begin: bigint | null;
  readonly end: bigint | null;
}

/**
 * Puts each dispatch into a compute pass of its own, with a timestamp at both ends where the adapter has them. Set it as
 * `device.timer`, submit, wait, then `take` what ran.
 */
export class TimestampTimer implements PassTimer {
  readonly #device: Device;
  readonly #able: boolean;
  readonly #blocks: QueryBlock[] = [];
  readonly #dispatches: Dispatch[] = [];
  /** Blocks whose values a command buffer already resolves. */
  #finished = 0;

  constructor(device: Device) {
    this.#device = device;
    this.#able = device.features.has("timestamp-query");
  }

  beginPass(encoder: GPUCommandEncoder, dispatch: Dispatch): GPUComputePassEncoder {
    this.#dispatches.push(dispatch);
    if (!this.#able) return encoder.beginComputePass();
    let block = this.#blocks.at(-1);
    if (!block || block.used === QUERIES || this.#finished === this.#blocks.length) {
      block = this.#makeBlock();
      this.#blocks.push(block);
    }
    const first = block.used;
    block.used += 2;
    return encoder.beginComputePass({
      timestampWrites: {
        querySet: block.queries,
        beginningOfPassWriteIndex: first,
        endOfPassWriteIndex: first + 1,
      },
    });
  }

  finish(encoder: GPUCommandEncoder): void {
    for (const { queries, resolved, staging, used } of this.#blocks.slice(this.#finished)) {
      encoder.resolveQuerySet(queries, 0, used, resolved, 0);
      encoder.copyBufferToBuffer(resolved, 0, staging, 0, used * 8);
    }
    this.#finished = this.#blocks.length;
  }

  /** What ran since the last call, in order. Everything must have been submitted; call it after `device.synchronize()`. */
  async take(): Promise<TimedDispatch[]> {
    const ticks: bigint[] = [];
    const blocks = this.#blocks.splice(0);
    this.#finished = 0;
    for (const { queries, resolved, staging, used } of blocks) {
      const mapped = staging.mapAsync(MapMode.READ, 0, used * 8);
      // Dawn in Node polls only while it is asked to; the device's own wait does that.
      await this.#device.synchronize();
      await mapped;
      ticks.push(...new BigUint64Array(staging.getMappedRange(0, used * 8).slice(0)));
      queries.destroy();
      resolved.destroy();
      staging.destroy();
    }
    return this.#dispatches.splice(0).map((dispatch, i) => ({
      dispatch,
      begin: ticks[2 * i] ?? null,
      end: ticks[2 * i + 1] ?? null,
    }));
  }

  #makeBlock(): QueryBlock {
    const { gpu } = this.#device;
    return {
      queries: gpu.createQuerySet({ type: "timestamp", count: QUERIES }),
      resolved: gpu.createBuffer({
        label: "wgrad timestamps",
        size: QUERIES * 8,
        usage: BufferUsage.QUERY_RESOLVE | BufferUsage.COPY_SRC,
      }),
      staging: gpu.createBuffer({
        label: "wgrad timestamps, mapped",
        size: QUERIES * 8,
        usage: BufferUsage.MAP_READ | BufferUsage.COPY_DST,
      }),
      used: 0,
    };
  }
}
