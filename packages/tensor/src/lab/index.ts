/**
 * The kernel lab: every ladder with its reference, and how to check, measure, tune and replace kernels. Works in browsers too.
 * @module
 */
export {
  type BenchOptions,
  type BenchRow,
  benchEntry,
  type Candidate,
  candidates,
  withStep,
} from "./bench.js";
export {
  type Cell,
  type CheckOptions,
  type CheckResult,
  checkChosen,
  checkEntry,
  describeWorst,
  entryOf,
} from "./check.js";
export { entries } from "./entries.js";
export type { Contract, LabEntry, Prepared, Workload } from "./entry.js";
export { type LadderOverview, overview, type ShapeChoice, type StepOverview } from "./overview.js";
export {
  checkOwnKernel,
  describeOwnKernel,
  type OwnKernelOptions,
  type OwnKernelReport,
  ownKernel,
  useOwnKernel,
} from "./own-kernel.js";
export { measurePeaks, type PeakOptions, type Peaks, type Rate, shareOf } from "./peaks.js";
export { type CpuTime, type Sample, type Spread, Stopwatch, spreadOf } from "./stopwatch.js";
export {
  type AdapterKey,
  adapterKey,
  adapterSlug,
  loadTuning,
  type TunedChoice,
  type TuneOptions,
  type Tuning,
  tune,
} from "./tune.js";
