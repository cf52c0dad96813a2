/** Part of a training step. */
export type Phase = "forward" | "backward" | "optimizer";

/** Where in a program a dispatch comes from: what a profile is broken down by. */
export interface Place {
  readonly phase: Phase;
  /** The outermost operation, such as `linear`; "" outside of any. */
  readonly op: string;
  /** The innermost module whose `forward` made it (its backward counts to it too); null outside of any. */
  readonly module: object | null;
}

/** The place of what is enqueued now. Changed by `at` only. */
let current: Place = { phase: "forward", op: "", module: null };

/** The place of what is enqueued now. */
export function place(): Place {
  return current;
}

/** Runs `body` with some parts of the place changed. */
export function at<T>(part: Partial<Place>, body: () => T): T {
  const before = current;
  current = { ...before, ...part };
  try {
    return body();
  } finally {
    current = before;
  }
}
