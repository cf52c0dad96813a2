import type { Kernel, ParamValue, Specialisation } from "./kernel.js";
import type { Pipeline } from "./pipelines.js";
import type { Place } from "./place.js";
import type { PooledBuffer } from "./pool.js";

/** Work of a dispatch, for profiles. */
export interface Cost {
  /** Floating-point operations; a fused multiply-add is two. */
  readonly flop: number;
  /** Bytes read and written at least. */
  readonly bytes: number;
}

/** One dispatch, with all that is needed to encode it, to repeat it, and to say what it was. */
export interface Dispatch {
  readonly kind: "dispatch";
  readonly kernel: Kernel;
  readonly specialisation: Specialisation | undefined;
  readonly pipeline: Pipeline;
  /** Bindings 1, 2, … */
  readonly buffers: readonly PooledBuffer[];
  readonly params: readonly ParamValue[];
  readonly grid: readonly [number, number, number];
  readonly place: Place;
  readonly cost: Cost;
  /** Block of the parameter buffer. */
  readonly slot: number;
}

/** The first `bytes` of a buffer become 0. */
export interface Clear {
  readonly kind: "clear";
  readonly buffer: PooledBuffer;
  readonly bytes: number;
}

/** What the queue is told, in order. */
export type Command = Dispatch | Clear;

/** What is encoded for a command: the same objects every time a plan is replayed. */
export type Encodable =
  | { readonly kind: "clear"; readonly buffer: GPUBuffer; readonly bytes: number }
  | {
      readonly kind: "dispatch";
      readonly pipeline: GPUComputePipeline;
      readonly group: GPUBindGroup;
      /** Bytes from the start of the parameter buffer. */
      readonly offset: number;
      readonly grid: readonly [number, number, number];
      readonly source: Dispatch;
    };

/** Gives each dispatch a compute pass of its own that is timed: see `Device.timing`. */
export interface PassTimer {
  /** Begins the pass of one dispatch. */
  beginPass(encoder: GPUCommandEncoder, dispatch: Dispatch): GPUComputePassEncoder;
  /** After the last pass of a command buffer. */
  finish(encoder: GPUCommandEncoder): void;
}

/** Encodes a list; dispatches that follow each other share a compute pass, unless each is timed. */
export function encode(encoder: GPUCommandEncoder, list: Iterable<Encodable>, timer: PassTimer | null): void {
  let pass: GPUComputePassEncoder | null = null;
  let bound: GPUComputePipeline | null = null;
  const offsets = [0];
  for (const item of list) {
    if (item.kind === "clear") {
      pass?.end();
      pass = null;
      encoder.clearBuffer(item.buffer, 0, item.bytes);
      continue;
    }
    if (timer) {
      pass?.end();
      pass = timer.beginPass(encoder, item.source);
      bound = null;
    } else if (!pass) {
      pass = encoder.beginComputePass();
      bound = null;
    }
    if (bound !== item.pipeline) {
      pass.setPipeline(item.pipeline);
      bound = item.pipeline;
    }
    offsets[0] = item.offset;
    pass.setBindGroup(0, item.group, offsets);
    pass.dispatchWorkgroups(item.grid[0], item.grid[1], item.grid[2]);
  }
  pass?.end();
  timer?.finish(encoder);
}
