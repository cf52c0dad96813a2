import type { Command } from "./commands.js";
import type { PooledBuffer } from "./pool.js";

/**
 * What a guard watches: a module's mode and parts, whether a leaf wants a gradient, what its gradient is at the beginning, or an
 * optimizer's options and state.
 */
export type GuardKind = "module" | "leaf" | "gradient" | "optimizer";

/** Who listens while a step is recorded: see `capture`. */
export interface Recorder {
  /** A command was enqueued. */
  command(command: Command): void;
  /** A buffer was given out, and from now on is another one than before under the same name. */
  acquired(buffer: PooledBuffer): void;
  /** A buffer was given out for what outlasts the step: see `setUp`. */
  lasting(buffer: PooledBuffer): void;
  /** A buffer's holder let go of it. */
  released(buffer: PooledBuffer): void;
  /** `run` was called and is to be called again at each replay, in its place among the live parameters. */
  effect(run: () => void): void;
  /**
   * The recording may be replayed only where `holds()` is true before. Of several guards of one kind for one `subject` the
   * first counts, since it knew the state at the beginning.
   */
  guard(kind: GuardKind, subject: object, holds: () => boolean): void;
  /** The step did what cannot be repeated: say what, and what to do instead. */
  refuse(what: string): void;
}

let recorder: Recorder | null = null;
let paused = false;

/** Who records now; null for nobody. Recording is synchronous, as are `scope` and `noGrad`. */
export function currentRecorder(): Recorder | null {
  return paused ? null : recorder;
}

function recordingAs<T>(listener: Recorder | null, isPaused: boolean, body: () => T): T {
  const before = { recorder, paused };
  recorder = listener;
  paused = isPaused;
  try {
    return body();
  } finally {
    ({ recorder, paused } = before);
  }
}

/** Runs `body` while `listener` hears what it enqueues. */
export function recordTo<T>(listener: Recorder, body: () => T): T {
  return recordingAs(listener, false, body);
}

/**
 * Runs `body`, which makes tensors that are to outlive the step, such as an optimizer's moments: it is carried out, but not
 * repeated when the step is replayed.
 */
export function setUp<T>(body: () => T): T {
  return recordingAs(recorder, true, body);
}

/** Tells who records that a buffer is given out. Called by the pool. */
export function noteAcquired(buffer: PooledBuffer): void {
  if (paused) recorder?.lasting(buffer);
  else recorder?.acquired(buffer);
}

/**
 * Runs `change`, which changes a state on the host that later dispatches read through `live` parameters: a counter of steps,
 * the place in a stream of random numbers. In a captured step it runs again at each replay.
 */
export function effect(change: () => void): void {
  change();
  currentRecorder()?.effect(change);
}
