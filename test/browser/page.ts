/** What runs inside the browser: the tests bundle this file and call its exports from the page. */
import { Device, type DeviceOptions, type OpReport, verifyOps } from "@wgrad/tensor";
import { type CheckResult, checkEntry, entries, entryOf } from "@wgrad/tensor/lab";
import { trainTiny } from "./training.js";

/** What the tests want to know about the adapter of the page. */
export interface Adapter {
  description: string;
  architecture: string;
  subgroupSize: number;
  f16: boolean;
  invocations: number;
}

let device: Device | undefined;
let index: unknown;
const files = new Map<string, Uint8Array>();

/** Opens the device that the other functions use, in place of the last one. */
export async function open(options?: DeviceOptions): Promise<Adapter> {
  device?.close();
  device = await Device.open(navigator.gpu, options);
  return {
    description: device.description,
    architecture: device.info.architecture,
    subgroupSize: device.subgroupSize,
    f16: device.features.has("shader-f16"),
    invocations: device.limits.maxComputeInvocationsPerWorkgroup,
  };
}

/** The operations of the reference cases that the test serves under /ops. */
export async function operations(): Promise<string[]> {
  index ??= await (await fetch("/ops/index.json")).json();
  return Object.keys((index as { ops: object }).ops);
}

/** Runs reference cases of some operations. */
export async function verify(only: string[]): Promise<OpReport[]> {
  await operations();
  return await verifyOps(opened(), { index, load }, { only });
}

/** Compares every step of a ladder with its reference. */
export function check(op: string): Promise<CheckResult[]> {
  return checkEntry(opened(), entryOf(entries, op));
}

async function load(file: string): Promise<Uint8Array> {
  let bytes = files.get(file);
  if (!bytes) {
    const response = await fetch(`/ops/${file}`);
    if (!response.ok) throw new Error(`${file}: HTTP ${response.status}`);
    bytes = new Uint8Array(await response.arrayBuffer());
    files.set(file, bytes);
  }
  return bytes;
}

/** Losses of the tiny classifier: see `training.ts`. */
export function train(): Promise<number[]> {
  return trainTiny(opened());
}

/** Tensors and buffers that something still holds. */
export function live(): { tensors: number; buffers: number } {
  const { liveTensors, liveBuffers } = opened().memory();
  return { tensors: liveTensors, buffers: liveBuffers };
}

function opened(): Device {
  if (!device) throw new Error("open() comes first.");
  return device;
}
