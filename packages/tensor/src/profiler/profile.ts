/** What a profile holds: plain data, so that it can be written as JSON and read again. */

/** Passes of a training step; `other` is what lies outside of all three: uploads, sums of losses. */
export const PHASES = ["forward", "backward", "optimizer", "other"] as const;
/** One of {@link PHASES}. */
export type Phase = (typeof PHASES)[number];

/** One dispatch of a step. */
export interface DispatchSample {
  /** Name of the kernel, such as `matmul/6-subgroup-pair`. */
  readonly kernel: string;
  /** Operation that called it, such as `linear`; the kernel's own family where it was called outside of any. */
  readonly op: string;
  /** Path of the module whose `forward` called the operation, such as `distilbert.transformer.layer.3.attention`; "" is the model itself, null is outside of it. */
  readonly module: string | null;
  readonly phase: Phase;
  /** What tells dispatches of one kernel apart: shapes of the operation's inputs, else the grid. */
  readonly shape: string;
  /** Floating-point operations; a multiplication and an addition are two. 0 where the kernel does not say. */
  readonly flop: number;
  /** Bytes read and written at least. */
  readonly bytes: number;
  /** Nanoseconds from the beginning of the step's first dispatch; 0 where dispatches are not timed. */
  readonly begin: number;
  /** Nanoseconds; 0 where dispatches are not timed. */
  readonly duration: number;
}

/** What a step cost on the whole. */
export interface StepCost {
  /** Seconds from the beginning until the GPU had done everything. */
  readonly seconds: number;
  /** Seconds of JavaScript until everything was recorded and submitted. */
  readonly hostSeconds: number;
  /** Seconds of processor time, all threads: on a software adapter that holds the GPU's work, whatever else runs beside. Null where nobody measured. */
  readonly cpuSeconds: number | null;
}

/** A profiled step. */
export interface StepSample extends StepCost {
  /** In the order in which the GPU ran them. */
  readonly dispatches: readonly DispatchSample[];
  readonly submissions: number;
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
  readonly pipelinesCreated: number;
  /** Largest number of bytes that tensors held at one time. */
  readonly peakLiveBytes: number;
}

/** What an adapter can do at best, measured on it. */
export interface Peaks {
  /** Floating-point operations a second of f32 arithmetic without memory. */
  readonly flops: number;
  /** Bytes read plus bytes written a second by a copy. */
  readonly bytesPerSecond: number;
}

/** Steps that were measured dispatch by dispatch, and what is needed to judge them. */
export interface Profile {
  /** What was run, one line. */
  readonly title: string;
  /** Adapter, as `Device.description`. */
  readonly adapter: string;
  /** `dispatch`: by timestamp queries. `submission`: the adapter has none, so only whole steps have a time. */
  readonly timing: "dispatch" | "submission";
  readonly steps: readonly StepSample[];
  /** The same steps without timestamps, so that one sees what measuring costs. */
  readonly unprofiled: readonly StepCost[];
  /** Null where they were not measured. */
  readonly peaks: Peaks | null;
}
