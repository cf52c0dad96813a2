import type { Device } from "../../device/device.js";
import { gridFor } from "../../device/kernel.js";

/** Invocations of a workgroup of the kernels that go over tensors without gaps. */
const WORKGROUP = 256;
/** Rounds of an invocation at most, and workgroups below which there is one round only, so that every core has work. */
const MOST = 16;
const ENOUGH = 64;

/**
 * How a kernel of 256 invocations shares `groups` groups of four elements out: a workgroup takes `256 * rounds` that lie together.
 * On llvmpipe a workgroup costs 0.5 us before it does anything, more than copying what 64 invocations hold: a copy of 12 MB took
 * 4.6 ms of CPU time with one group an invocation and 2.0 with sixteen. GPUs have lanes for all.
 */
export function roundsFor(
  device: Device,
  groups: number,
): { rounds: number; grid: [number, number, number] } {
  const software = device.info.isFallbackAdapter;
  const rounds = software ? Math.max(1, Math.min(MOST, Math.floor(groups / (WORKGROUP * ENOUGH)))) : 1;
  return { rounds, grid: gridFor(groups, WORKGROUP * rounds) };
}
