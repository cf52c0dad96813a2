/** What runs inside the browser: the tests bundle this file and call its exports from the page. */
import { decodeImage } from "@wgrad/image";
import { CLIPImageProcessor } from "@wgrad/models";
import { Device, type DeviceOptions, type OpReport, verifyOps } from "@wgrad/tensor";
import { type CheckResult, checkEntry, entries, entryOf } from "@wgrad/tensor/lab";
import { adaptClip, referenceErrors } from "./clip.js";
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
const files = new Map<string, Uint8Array<ArrayBuffer>>();

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
    bytes = await download(`/ops/${file}`);
    files.set(file, bytes);
  }
  return bytes;
}

async function download(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path}: HTTP ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

/** Losses of the tiny classifier: see `training.ts`. */
export function train(): Promise<number[]> {
  return trainTiny(opened());
}

/** Errors of the reference CLIP that the test serves under /clip: see `clip.ts`. */
export function checkClip(): Promise<Record<string, number>> {
  return referenceErrors(opened(), (name) => download(`/clip/${name}`));
}

/** Losses of LoRA on a tiny CLIP: see `clip.ts`. */
export function adapt(): Promise<number[]> {
  return adaptClip(opened());
}

/** A picture as the browser decodes it, and what CLIP's processor makes of it, as base64; or the code of the refusal. */
export type Picture =
  | { width: number; height: number; data: string; pixelValues: string }
  | { refused: string };

/** Decodes a file that the test serves under /pictures. */
export async function picture(file: string, size: number): Promise<Picture> {
  const bytes = await download(`/pictures/${file}`);
  try {
    const image = await decodeImage(bytes);
    const { pixelValues } = new CLIPImageProcessor({ size, cropSize: size }).preprocess(image);
    const { width, height, data } = image;
    return { width, height, data: base64(data), pixelValues: base64(new Uint8Array(pixelValues.buffer)) };
  } catch (error) {
    return { refused: String((error as { code?: unknown }).code ?? error) };
  }
}

/** Arrays of numbers take seconds to leave a page. */
function base64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
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
