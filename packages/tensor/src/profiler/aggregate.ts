import { type DispatchSample, type Peaks, PHASES, type Phase, type Profile } from "./profile.js";

/** Sums over some of a step's dispatches; the mean over the profiled steps. */
export interface Totals {
  dispatches: number;
  seconds: number;
  flop: number;
  bytes: number;
}

/** Speeds that follow from totals; null where there is nothing to divide. */
export interface Rates {
  /** FLOP a second. */
  readonly flops: number | null;
  readonly bytesPerSecond: number | null;
  /** Share of the arithmetic peak, 0 to 1. */
  readonly ofArithmetic: number | null;
  /** Share of the copy peak, 0 to 1; more where caches serve what a copy must fetch. */
  readonly ofCopy: number | null;
}

/** One pass. */
export interface PhaseRow extends Totals {
  readonly phase: Phase;
}

/** One kernel on one shape. */
export interface KernelRow extends Totals {
  readonly kernel: string;
  readonly op: string;
  readonly shape: string;
  /** Passes in which it ran, in order. */
  readonly phases: readonly Phase[];
}

/** One module with those inside it. */
export interface ModuleNode {
  /** Last part of the path. */
  readonly name: string;
  /** Whole path; "" for the model. */
  readonly path: string;
  /** What it called itself. */
  readonly self: Totals;
  /** With all modules inside. */
  readonly total: Totals;
  /** Seconds of `total` by pass. */
  readonly phases: Record<Phase, number>;
  /** In the order in which they were first called. */
  readonly children: readonly ModuleNode[];
}

/** Name of the node for what no module called: the optimizer, the loss outside of the model. */
export const OUTSIDE = "(outside of the model)";

/** Totals of nothing. */
export function zero(): Totals {
  return { dispatches: 0, seconds: 0, flop: 0, bytes: 0 };
}

/** Adds one dispatch. */
export function addSample(totals: Totals, sample: DispatchSample): void {
  totals.dispatches++;
  totals.seconds += sample.duration / 1e9;
  totals.flop += sample.flop;
  totals.bytes += sample.bytes;
}

/** Makes the mean of sums over all profiled steps. */
export function toMean(totals: Totals, { steps }: Profile): void {
  const count = Math.max(1, steps.length);
  totals.dispatches /= count;
  totals.seconds /= count;
  totals.flop /= count;
  totals.bytes /= count;
}

function addTotals(into: Totals, other: Totals): void {
  into.dispatches += other.dispatches;
  into.seconds += other.seconds;
  into.flop += other.flop;
  into.bytes += other.bytes;
}

/** Every dispatch of every profiled step. */
export function* samplesOf(profile: Profile): Generator<DispatchSample> {
  for (const step of profile.steps) yield* step.dispatches;
}

/** A whole step. */
export function wholeStep(profile: Profile): Totals {
  const totals = zero();
  for (const sample of samplesOf(profile)) addSample(totals, sample);
  toMean(totals, profile);
  return totals;
}

/** FLOP/s and bytes/s, and what share of the adapter's peaks they are. */
export function ratesOf(totals: Totals, peaks: Peaks | null): Rates {
  const { seconds, flop, bytes } = totals;
  const flops = seconds > 0 && flop > 0 ? flop / seconds : null;
  const bytesPerSecond = seconds > 0 && bytes > 0 ? bytes / seconds : null;
  return {
    flops,
    bytesPerSecond,
    ofArithmetic: flops !== null && peaks ? flops / peaks.flops : null,
    ofCopy: bytesPerSecond !== null && peaks ? bytesPerSecond / peaks.bytesPerSecond : null,
  };
}

/** Passes in order, those without a dispatch left out. */
export function byPhase(profile: Profile): PhaseRow[] {
  const rows = PHASES.map((phase) => ({ phase, ...zero() }));
  for (const sample of samplesOf(profile)) addSample(rows[PHASES.indexOf(sample.phase)]!, sample);
  for (const row of rows) toMean(row, profile);
  return rows.filter((row) => row.dispatches > 0);
}

/** Kernels by name and shape, the longest first (the most bytes where nothing is timed). */
export function byKernel(profile: Profile): KernelRow[] {
  const rows = new Map<string, KernelRow & { phases: Phase[] }>();
  for (const sample of samplesOf(profile)) {
    const { kernel, op, shape, phase } = sample;
    const key = `${kernel}\n${shape}`;
    let row = rows.get(key);
    if (!row) {
      row = { kernel, op, shape, phases: [], ...zero() };
      rows.set(key, row);
    }
    addSample(row, sample);
    if (!row.phases.includes(phase)) row.phases.push(phase);
  }
  for (const row of rows.values()) toMean(row, profile);
  return [...rows.values()].sort((a, b) => b.seconds - a.seconds || b.bytes - a.bytes);
}

interface GrowingNode extends ModuleNode {
  readonly children: GrowingNode[];
}

/**
 * The model's modules as a tree, with what each called itself and in all. A second root, {@link OUTSIDE}, holds what no
 * module called.
 */
export function byModule(profile: Profile): ModuleNode[] {
  const make = (name: string, path: string): GrowingNode => ({
    name,
    path,
    self: zero(),
    total: zero(),
    phases: { forward: 0, backward: 0, optimizer: 0, other: 0 },
    children: [],
  });
  const model = make("(model)", "");
  const outside = make(OUTSIDE, OUTSIDE);
  const nodes = new Map<string, GrowingNode>([["", model]]);
  const find = (path: string): GrowingNode => {
    const found = nodes.get(path);
    if (found) return found;
    const dot = path.lastIndexOf(".");
    const made = make(path.slice(dot + 1), path);
    nodes.set(path, made);
    find(path.slice(0, Math.max(dot, 0))).children.push(made);
    return made;
  };
  for (const sample of samplesOf(profile)) {
    const node = sample.module === null ? outside : find(sample.module);
    addSample(node.self, sample);
    node.phases[sample.phase] += sample.duration / 1e9 / profile.steps.length;
  }
  const addUp = (node: GrowingNode): void => {
    toMean(node.self, profile);
    addTotals(node.total, node.self);
    for (const child of node.children) {
      addUp(child);
      addTotals(node.total, child.total);
      for (const phase of PHASES) node.phases[phase] += child.phases[phase];
    }
  };
  const roots = [model, outside];
  for (const root of roots) addUp(root);
  return roots.filter((root) => root.total.dispatches > 0);
}

/** Mean, smallest and largest of the steps' costs, in seconds. */
export interface Spread {
  readonly mean: number;
  readonly least: number;
  readonly most: number;
}

/** @returns null for no values */
export function spreadOf(values: readonly number[]): Spread | null {
  if (values.length === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return { mean, least: Math.min(...values), most: Math.max(...values) };
}

/** What the head of a report says. */
export interface Summary extends Totals {
  /** Profiled steps from beginning to end. */
  readonly profiled: Spread;
  /** The same without timestamps; null if none was measured. */
  readonly unprofiled: Spread | null;
  /** JavaScript of the steps without timestamps, else of the profiled ones. */
  readonly host: Spread;
  /** Processor time of the same; null where it was not measured. */
  readonly cpu: Spread | null;
  /** From the first dispatch's beginning to the last one's end; 0 where dispatches are not timed. */
  readonly gpuSpanSeconds: number;
  readonly submissions: number;
  readonly peakLiveBytes: number;
  readonly buffersCreated: number;
  readonly bindGroupsCreated: number;
  readonly pipelinesCreated: number;
}

/** Figures of the whole. The profile must have at least one step. */
export function summarise(profile: Profile): Summary {
  const { steps, unprofiled } = profile;
  const mean = (value: (step: Profile["steps"][number]) => number) => spreadOf(steps.map(value))?.mean ?? 0;
  const costs = unprofiled.length > 0 ? unprofiled : steps;
  const none = { mean: 0, least: 0, most: 0 };
  return {
    ...wholeStep(profile),
    profiled: spreadOf(steps.map(({ seconds }) => seconds)) ?? none,
    unprofiled: spreadOf(unprofiled.map(({ seconds }) => seconds)),
    host: spreadOf(costs.map(({ hostSeconds }) => hostSeconds)) ?? none,
    cpu: spreadOf(costs.flatMap(({ cpuSeconds }) => (cpuSeconds === null ? [] : [cpuSeconds]))),
    gpuSpanSeconds: mean(({ dispatches }) =>
      dispatches.reduce((end, { begin, duration }) => Math.max(end, (begin + duration) / 1e9), 0),
    ),
    submissions: mean((step) => step.submissions),
    peakLiveBytes: Math.max(0, ...steps.map((step) => step.peakLiveBytes)),
    buffersCreated: mean((step) => step.buffersCreated),
    bindGroupsCreated: mean((step) => step.bindGroupsCreated),
    pipelinesCreated: mean((step) => step.pipelinesCreated),
  };
}
