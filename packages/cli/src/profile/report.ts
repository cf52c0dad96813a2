import {
  byKernel,
  byModule,
  byPhase,
  formatShare,
  formatTime,
  type KernelRow,
  type ModuleNode,
  type Profile,
  ratesOf,
  type Summary,
  scaled,
  summarise,
  type Totals,
} from "@wgrad/tensor/profiler";
import { formatTable } from "../text/table.js";

/** How much of the tables is printed. */
export interface ReportOptions {
  /** Levels of modules below the model. */
  readonly depth: number;
  /** Rows of the table of kernels. */
  readonly top: number;
}

/** A profile for the terminal: figures of the step, then tables by pass, module, and kernel and shape. */
export function formatProfile(profile: Profile, options: ReportOptions): string {
  const summary = summarise(profile);
  const tables = new Tables(profile, summary);
  return [
    formatSummary(profile, summary),
    tables.passes(),
    tables.modules(options.depth),
    tables.kernels(options.top),
  ].join("\n\n");
}

function formatSummary({ peaks, timing, steps }: Profile, summary: Summary): string {
  const { profiled, unprofiled, host } = summary;
  const step = unprofiled ?? profiled;
  const cpu = summary.cpu ? `; ${formatTime(summary.cpu.mean)} of CPU` : "";
  const range = `${formatTime(step.least)} to ${formatTime(step.most)}${cpu}`;
  const added = unprofiled ? (profiled.mean - unprofiled.mean) / Math.max(1, summary.dispatches) : 0;
  const adds = added > 1e-6 ? `; timing adds ${formatTime(added)} a dispatch` : "";
  const timed =
    timing === "dispatch"
      ? `${formatTime(summary.seconds)} in dispatches, ${formatTime(Math.max(0, summary.gpuSpanSeconds - summary.seconds))} between them`
      : "dispatches are not timed: this adapter has no timestamp queries, so only whole steps are";
  const share = (rate: number, peak: number | undefined, name: string) =>
    peak === undefined
      ? ""
      : `, ${formatShare(rate / peak)} of the ${name} of ${scaled(peak, name === "copy peak" ? "B/s" : "FLOP/s")}`;
  const arithmetic = summary.flop / step.mean;
  const traffic = summary.bytes / step.mean;
  const lines = [
    [
      "step",
      `unprofiled ${formatTime(step.mean)} (${range}), profiled ${formatTime(profiled.mean)}; ${steps.length} of each${adds}`,
    ],
    ["GPU", timed],
    ["host", `${formatTime(host.mean)} of JavaScript until all is submitted`],
    [
      "work",
      `${count(summary.dispatches)} dispatches in ${count(summary.submissions)} submission${summary.submissions === 1 ? "" : "s"}`,
    ],
    [
      "",
      `${scaled(summary.flop, "FLOP")}: ${scaled(arithmetic, "FLOP/s")}${share(arithmetic, peaks?.flops, "arithmetic peak")}`,
    ],
    [
      "",
      `${scaled(summary.bytes, "B")}: ${scaled(traffic, "B/s")}${share(traffic, peaks?.bytesPerSecond, "copy peak")}`,
    ],
    [
      "memory",
      `${scaled(summary.peakLiveBytes, "B")} of tensors at the peak; ${count(summary.buffersCreated)} buffers, ${count(summary.bindGroupsCreated)} bind groups made in a step`,
    ],
  ];
  return lines.map(([name, text]) => `${name!.padEnd(8)}${text}`).join("\n");
}

function count(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

/** The tables, which share their last columns. */
class Tables {
  readonly #profile: Profile;
  readonly #summary: Summary;
  readonly #isTimed: boolean;

  constructor(profile: Profile, summary: Summary) {
    this.#profile = profile;
    this.#summary = summary;
    this.#isTimed = profile.timing === "dispatch";
  }

  passes(): string {
    const rows = byPhase(this.#profile).map((row) => [row.phase, ...this.#cells(row)]);
    return formatTable(["pass", ...this.#heads()], rows);
  }

  /** Modules in the tree's order, indented. */
  modules(depth: number): string {
    const rows: string[][] = [];
    const add = (node: ModuleNode, level: number): void => {
      if (level > depth) return;
      rows.push([`${"  ".repeat(level)}${node.name}`, ...this.#cells(node.total)]);
      for (const child of node.children) add(child, level + 1);
    };
    for (const root of byModule(this.#profile)) add(root, 0);
    return formatTable(["module", ...this.#heads()], rows);
  }

  kernels(top: number): string {
    const all = byKernel(this.#profile);
    const cells = (row: KernelRow) => [row.kernel, row.shape, ...this.#cells(row)];
    const table = formatTable(["kernel", "shape", ...this.#heads()], all.slice(0, top).map(cells), [0, 1]);
    const rest = all.slice(top);
    if (rest.length === 0) return table;
    const seconds = rest.reduce((sum, row) => sum + row.seconds, 0);
    const time = this.#isTimed ? `, ${formatTime(seconds)}` : "";
    return `${table}\n… and ${rest.length} more${time} (--top ${all.length})`;
  }

  #heads(): string[] {
    const timed = ["time", "share"];
    const rates = this.#profile.peaks ? ["FLOP/s", "of peak", "B/s", "of copy"] : ["FLOP/s", "B/s"];
    return this.#isTimed ? [...timed, "calls", "FLOP", "bytes", ...rates] : ["calls", "FLOP", "bytes"];
  }

  #cells(totals: Totals): string[] {
    const amounts = [
      count(Math.round(totals.dispatches * 10) / 10),
      totals.flop > 0 ? scaled(totals.flop, "") : "–",
      scaled(totals.bytes, ""),
    ];
    if (!this.#isTimed) return amounts;
    const { peaks } = this.#profile;
    const rates = ratesOf(totals, peaks);
    const rate = (value: number | null) => (value === null ? "–" : scaled(value, ""));
    const flops = [rate(rates.flops), ...(peaks ? [formatShare(rates.ofArithmetic)] : [])];
    const bytes = [rate(rates.bytesPerSecond), ...(peaks ? [formatShare(rates.ofCopy)] : [])];
    const share = this.#summary.seconds > 0 ? totals.seconds / this.#summary.seconds : 0;
    return [formatTime(totals.seconds), formatShare(share), ...amounts, ...flops, ...bytes];
  }
}

/** A profile for programs: the same figures, with units in the names. */
export function profileJson(profile: Profile): Record<string, unknown> {
  const summary = summarise(profile);
  const totals = (row: Totals) => {
    const rates = ratesOf(row, profile.peaks);
    return {
      dispatches: row.dispatches,
      seconds: row.seconds,
      share: summary.seconds > 0 ? row.seconds / summary.seconds : null,
      flop: row.flop,
      bytes: row.bytes,
      flops_per_second: rates.flops,
      of_arithmetic_peak: rates.ofArithmetic,
      bytes_per_second: rates.bytesPerSecond,
      of_copy_peak: rates.ofCopy,
    };
  };
  const modules: Record<string, unknown>[] = [];
  const add = (node: ModuleNode): void => {
    modules.push({
      module: node.path,
      ...totals(node.total),
      self: totals(node.self),
      seconds_by_pass: node.phases,
    });
    node.children.forEach(add);
  };
  byModule(profile).forEach(add);
  return {
    title: profile.title,
    adapter: profile.adapter,
    timing: profile.timing,
    peaks: profile.peaks && {
      flops_per_second: profile.peaks.flops,
      copy_bytes_per_second: profile.peaks.bytesPerSecond,
    },
    step: {
      ...totals(summary),
      profiled_seconds: summary.profiled,
      unprofiled_seconds: summary.unprofiled,
      host_seconds: summary.host,
      cpu_seconds: summary.cpu,
      gpu_span_seconds: summary.gpuSpanSeconds,
      submissions: summary.submissions,
      peak_live_bytes: summary.peakLiveBytes,
      buffers_created: summary.buffersCreated,
      bind_groups_created: summary.bindGroupsCreated,
      pipelines_created: summary.pipelinesCreated,
    },
    passes: byPhase(profile).map((row) => ({ pass: row.phase, ...totals(row) })),
    modules,
    kernels: byKernel(profile).map((row) => ({
      kernel: row.kernel,
      op: row.op,
      shape: row.shape,
      passes: row.phases,
      ...totals(row),
    })),
  };
}
