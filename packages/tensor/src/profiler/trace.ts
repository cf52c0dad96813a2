import { OUTSIDE } from "./aggregate.js";
import type { DispatchSample, Profile, StepSample } from "./profile.js";

/** One entry of Chrome's trace format; times in microseconds. `X` is a slice with a duration, `M` names a process or thread. */
export interface TraceEvent {
  readonly name: string;
  readonly ph: "X" | "M";
  readonly pid: number;
  readonly tid: number;
  readonly ts: number;
  readonly dur?: number;
  readonly cat?: string;
  readonly args?: Readonly<Record<string, string | number | null>>;
}

/** A file that `ui.perfetto.dev` and `chrome://tracing` open. */
export interface ChromeTrace {
  readonly traceEvents: readonly TraceEvent[];
  readonly displayTimeUnit: "ms";
  readonly otherData: Readonly<Record<string, string>>;
}

const GPU = 1;
const HOST = 2;
const MODULES = 1;
const KERNELS = 2;
const SCRIPT = 1;

/**
 * A profile as a trace: on the GPU one track of passes with the modules nested in them and one of kernels, on the host what
 * JavaScript did. Steps follow each other; the GPU's clock is not the host's, so its first dispatch is put where the host had
 * submitted the step.
 */
export function chromeTrace(profile: Profile): ChromeTrace {
  const events: TraceEvent[] = [
    named("process_name", GPU, 0, `GPU: ${profile.adapter}`),
    named("thread_name", GPU, MODULES, "passes and modules"),
    named("thread_name", GPU, KERNELS, "kernels"),
    named("process_name", HOST, 0, "host"),
    named("thread_name", HOST, SCRIPT, "JavaScript"),
  ];
  let origin = 0;
  profile.steps.forEach((step, index) => {
    const submitted = origin + step.hostSeconds * 1e6;
    const last = step.dispatches.reduce((end, sample) => Math.max(end, sample.begin + sample.duration), 0);
    const end = Math.max(origin + step.seconds * 1e6, submitted + last / 1000);
    const slice = (name: string, from: number, to: number): TraceEvent => ({
      name,
      cat: "host",
      ph: "X",
      pid: HOST,
      tid: SCRIPT,
      ts: round(from),
      dur: round(round(to) - round(from)),
    });
    events.push(slice(`step ${index + 1}`, origin, end));
    events.push(slice("record and submit", origin, submitted), slice("wait for the GPU", submitted, end));
    if (profile.timing === "dispatch")
      events.push(...moduleSlices(step, submitted), ...kernelSlices(step, submitted));
    origin = end;
  });
  return {
    traceEvents: events,
    displayTimeUnit: "ms",
    otherData: { title: profile.title, adapter: profile.adapter },
  };
}

function named(what: "process_name" | "thread_name", pid: number, tid: number, name: string): TraceEvent {
  return { name: what, ph: "M", pid, tid, ts: 0, args: { name } };
}

/** Whole nanoseconds, so that the ends of nested slices that should meet do. */
function round(microseconds: number): number {
  return Math.round(microseconds * 1000) / 1000;
}

function kernelSlices(step: StepSample, origin: number): TraceEvent[] {
  return step.dispatches.map((sample) => ({
    name: sample.kernel,
    cat: sample.op,
    ph: "X",
    pid: GPU,
    tid: KERNELS,
    ts: round(origin + sample.begin / 1000),
    dur: round(sample.duration / 1000),
    args: {
      op: sample.op,
      shape: sample.shape,
      pass: sample.phase,
      module: sample.module,
      "GFLOP/s": sample.duration > 0 ? round(sample.flop / sample.duration) : 0,
      "GB/s": sample.duration > 0 ? round(sample.bytes / sample.duration) : 0,
      flop: sample.flop,
      bytes: sample.bytes,
    },
  }));
}

/** Slices of passes and modules: each lasts from its first dispatch to its last while nothing else comes between. */
function moduleSlices(step: StepSample, origin: number): TraceEvent[] {
  const done: TraceEvent[] = [];
  let open: { name: string; cat: string; ts: number }[] = [];
  let end = 0;
  const closeFrom = (depth: number) => {
    for (const slice of open.slice(depth)) {
      done.push({ ...slice, ph: "X", pid: GPU, tid: MODULES, dur: round(end - slice.ts) });
    }
    open = open.slice(0, depth);
  };
  for (const sample of step.dispatches) {
    const path = pathOf(sample);
    let same = 0;
    while (same < path.length && open[same]?.name === path[same]) same++;
    closeFrom(same);
    const ts = round(origin + sample.begin / 1000);
    for (const name of path.slice(same)) open.push({ name, cat: open.length === 0 ? "pass" : "module", ts });
    end = round(ts + sample.duration / 1000);
  }
  closeFrom(0);
  // Slices that begin together nest in the order of the file.
  return done.sort((a, b) => a.ts - b.ts || b.dur! - a.dur!);
}

function pathOf({ phase, module }: DispatchSample): string[] {
  if (module === null) return phase === "optimizer" ? [phase] : [phase, OUTSIDE];
  return module === "" ? [phase] : [phase, ...module.split(".")];
}
