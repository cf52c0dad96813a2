/**
 * Where a step's time goes: measures it dispatch by dispatch, sums it up by pass, module and kernel, and writes a Chrome
 * trace and an HTML page. `wgrad profile` is made of it.
 * @module
 */
export {
  byKernel,
  byModule,
  byPhase,
  type KernelRow,
  type ModuleNode,
  OUTSIDE,
  type PhaseRow,
  type Rates,
  ratesOf,
  type Spread,
  type Summary,
  summarise,
  type Totals,
} from "./aggregate.js";
export { type FlameKind, type FlameNode, flameTree } from "./flame.js";
export { formatShare, formatTime, scaled } from "./numbers.js";
export { profilePage } from "./page/page.js";
export {
  type DispatchSample,
  type Peaks,
  PHASES,
  type Phase,
  type Profile,
  type StepCost,
  type StepSample,
} from "./profile.js";
export { Profiler, type ProfilerOptions } from "./profiler.js";
export { type ChromeTrace, chromeTrace, type TraceEvent } from "./trace.js";
