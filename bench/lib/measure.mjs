// Processor time, wall time, peak memory and numbers of WebGPU calls of this process.
import { readFileSync } from "node:fs";

/** Milliseconds of processor time of all threads, user and system. On a software driver that is the GPU's time too. */
export function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** Runs `work` and tells its milliseconds. */
export async function timed(work) {
  const [cpu, wall] = [cpuMs(), performance.now()];
  await work();
  return { cpu: cpuMs() - cpu, wall: performance.now() - wall };
}

/** Largest resident size so far in MiB: Linux's own count, elsewhere getrusage's. */
export function peakMiB() {
  try {
    return Math.round(Number(/VmHWM:\s+(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024);
  } catch {
    return Math.round(process.resourceUsage().maxRSS / 1024);
  }
}

/** Middle of some numbers. */
export function median(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** What is counted, by class and method of WebGPU. */
const COUNTED = [
  ["GPUComputePassEncoder", "dispatchWorkgroups", "dispatches"],
  ["GPUComputePassEncoder", "dispatchWorkgroupsIndirect", "dispatches"],
  ["GPUQueue", "submit", "submissions"],
  ["GPUDevice", "createBuffer", "buffers"],
  ["GPUDevice", "createBindGroup", "bindGroups"],
  ["GPUDevice", "createComputePipeline", "pipelines"],
  ["GPUDevice", "createComputePipelineAsync", "pipelines"],
];

/**
 * Counts the WebGPU calls of this process from now on, whoever makes them.
 * @param {Record<string, Function>} classes `globals` of the package `webgpu`
 * @returns {() => Record<string, number>} the counts so far
 */
export function countCalls(classes) {
  const counts = Object.fromEntries(COUNTED.map(([, , name]) => [name, 0]));
  for (const [type, method, name] of COUNTED) {
    const { prototype } = classes[type];
    const original = prototype[method];
    prototype[method] = function (...args) {
      counts[name]++;
      return original.apply(this, args);
    };
  }
  return () => ({ ...counts });
}

/** What was counted between two readings. */
export const since = (before, after) =>
  Object.fromEntries(Object.keys(after).map((name) => [name, after[name] - before[name]]));
