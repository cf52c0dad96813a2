import type { Device } from "../../device/device.js";
import { gridFor, type Kernel, type ParamValue } from "../../device/kernel.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import { Tensor } from "../../tensor.js";
import { ends, forEachTensor, padded, switchOver } from "../many/index.js";
import naiveSource from "./1-naive.wgsl";
import vec4Source from "./2-vec4.wgsl";
import manySource from "./3-many.wgsl";
import loopsSource from "./4-loops.wgsl";
import wideSource from "./5-vec4.wgsl";
import manyParams from "./many-params.wgsl";
import { isFlat, type Layout } from "./moments.js";
import params from "./params.wgsl";
import rule from "./rule.wgsl";

/** A parameter with its gradient and moments, all f32 and without gaps, and the numbers of its step. */
export interface AdamSlot {
  readonly parameter: Tensor;
  readonly gradient: Tensor;
  readonly expAvg: Tensor;
  readonly expAvgSq: Tensor;
  /** lr / (1 - beta1^t); lr where the GPU counts. */
  readonly rate: ParamValue;
  /** 1 / √(1 - beta2^t). */
  readonly inverseRoot: ParamValue;
  /** lr · weightDecay (AdamW) or weightDecay (Adam). */
  readonly decay: ParamValue;
  /** Where the GPU counts: place of the bias corrections in `control`, in elements. */
  readonly correctionsAt: number;
}

/** What all parameters of a call share. */
export interface AdamSettings {
  readonly oneMinusBeta1: ParamValue;
  readonly beta2: ParamValue;
  readonly oneMinusBeta2: ParamValue;
  readonly eps: ParamValue;
  /** Weight decay apart from the gradient (AdamW), not added to it (Adam). */
  readonly decoupled: boolean;
  /** Holds the factor of all gradients: its first element; with `counted` what `countSteps` wrote. */
  readonly control: Tensor;
  /** The GPU counts the steps, and may skip one. */
  readonly counted: boolean;
}

/** What the choice of a kernel depends on. */
export interface AdamProblem {
  /** Parameter tensors, and their elements in all. */
  readonly tensors: number;
  readonly elements: number;
}

/** A kernel of the ladder: how it wants the moments, and how it is started. */
export interface AdamStep extends LadderStep<AdamProblem> {
  readonly layout: Layout;
  launch(device: Device, slots: readonly AdamSlot[], settings: AdamSettings): void;
}

/** Bytes that a step reads and writes for one element: the gradient, and three numbers both ways. */
export const BYTES_PER_ELEMENT = 28;

const bufferOf = (tensor: Tensor) => tensor.storage.buffer;
const shared = (s: AdamSettings) => [s.oneMinusBeta1, s.beta2, s.oneMinusBeta2, s.eps];
const constants = (s: AdamSettings) => ({ DECOUPLED: s.decoupled, COUNTED: s.counted });

/** A step that gives each tensor a dispatch of its own, `groupElements` elements to a workgroup. */
function single(name: string, idea: string, kernel: Kernel, groupElements: number): AdamStep {
  return {
    name,
    idea,
    needs: () => null,
    layout: "apart",
    launch(device, slots, settings) {
      for (const slot of slots) {
        const count = slot.parameter.numel;
        device.run(kernel, {
          buffers: [slot.gradient, slot.parameter, slot.expAvg, slot.expAvgSq, settings.control].map(
            bufferOf,
          ),
          params: [
            count,
            settings.control.offset,
            slot.correctionsAt,
            0,
            ...shared(settings),
            slot.rate,
            slot.inverseRoot,
            slot.decay,
            0,
          ],
          grid: gridFor(count, groupElements),
          specialisation: { constants: constants(settings) },
          cost: { flop: 0, bytes: BYTES_PER_ELEMENT * count },
        });
      }
    },
  };
}

/** Tensors a dispatch: a gradient and a parameter each beside the moments and `control`; the numbers of eight fit `Params`. */
function widthOn(device: Device): number {
  return Math.min(8, Math.floor((device.limits.maxStorageBuffersPerShaderStage - 2) / 2));
}

/** The bindings of a dispatch over `width` tensors, and the functions that choose among them. */
function bindings(width: number, element: string): string {
  const all = Array.from({ length: width }, (_, t) => t);
  return [
    ...all.flatMap((t) => [
      `@group(0) @binding(${2 * t + 1}) var<storage, read> gradient${t}: array<${element}>;`,
      `@group(0) @binding(${2 * t + 2}) var<storage, read_write> parameter${t}: array<${element}>;`,
    ]),
    `@group(0) @binding(${2 * width + 1}) var<storage, read_write> moments: array<${element}>;`,
    `@group(0) @binding(${2 * width + 2}) var<storage, read> control: array<f32>;`,
  ].join("\n");
}

/** The functions that choose among the bindings. */
const choosers = (width: number) =>
  [
    `fn gradient(t: u32, i: u32) -> vec4<f32> {\n  ${switchOver(width, (t) => `return gradient${t}[i];`)}\n}`,
    `fn parameter(t: u32, i: u32) -> vec4<f32> {\n  ${switchOver(width, (t) => `return parameter${t}[i];`)}\n}`,
    `fn set_parameter(t: u32, i: u32, p: vec4<f32>) {\n  ${switchOver(width, (t) => `parameter${t}[i] = p;`)}\n}`,
  ].join("\n");

/** `update`, which chooses the loop of a tensor, and the loops. */
function loops(source: string, width: number): string {
  const choice = switchOver(width, (t) => `update${t}(part, step, first, end);`);
  return [
    forEachTensor(source, "update0", ["gradient0", "parameter0"], width),
    `fn update(t: u32, part: Part, step: Step, first: u32, end: u32) {\n  ${choice}\n}`,
  ].join("\n");
}

/** How a step over many tensors at once is made. */
interface Joint {
  readonly name: string;
  readonly idea: string;
  readonly source: string;
  /** Elements that an invocation takes at a time, and how many times. */
  readonly unit: 1 | 4;
  readonly length: number;
  /** WGSL that goes before the source, for a number of tensors. */
  readonly text: (width: number) => string;
}

function joint({ name, idea, source, unit, length, text }: Joint): AdamStep {
  const kernel: Kernel = {
    name: `adamw/${name}`,
    source,
    snippets: [manyParams, ...(unit === 4 ? [rule] : [])],
  };
  return {
    name,
    idea,
    needs: () => null,
    layout: "flat",
    launch(device, slots, settings) {
      const width = widthOn(device);
      const specialisation = {
        constants: { ...constants(settings), ...(length > 1 ? { LENGTH: length } : {}) },
        text: `${bindings(width, unit === 4 ? "vec4<f32>" : "f32")}\n${text(width)}`,
      };
      for (let i = 0; i < slots.length; ) {
        const { storage } = slots[i]!.expAvg;
        const part = slots.slice(i, i + width);
        const other = part.findIndex((slot) => slot.expAvg.storage !== storage);
        if (other > 0) part.length = other;
        i += part.length;
        // Whole vec4s, as the moments are laid out; what lies behind a tensor's last element is nobody's.
        const counts = part.map((slot) => (Math.ceil(slot.parameter.numel / 4) * 4) / unit);
        const last = ends(counts.map((count) => Math.ceil(count / (64 * length))));
        const groups = last.at(-1)!;
        const eight = (values: readonly ParamValue[]) => padded(values, 8, 0);
        // A buffer may be bound for writing only once: missing tensors get scratch memory of their own.
        const spare = Array.from({ length: width - part.length }, () => Tensor.empty(device, [4]));
        device.run(kernel, {
          buffers: [
            ...part.flatMap((slot) => [slot.gradient, slot.parameter]),
            ...spare.flatMap((tensor) => [part[0]!.gradient, tensor]),
          ]
            .map(bufferOf)
            .concat(storage.buffer, settings.control.storage.buffer),
          params: [
            settings.control.offset,
            part.length - 1,
            0,
            0,
            ...shared(settings),
            ...padded(last, 8, groups),
            ...eight(counts),
            ...eight(part.map((slot) => slot.expAvg.offset / unit)),
            ...eight(part.map((slot) => slot.correctionsAt)),
            ...eight(part.map((slot) => slot.rate)),
            ...eight(part.map((slot) => slot.inverseRoot)),
            ...eight(part.map((slot) => slot.decay)),
          ],
          grid: gridFor(groups * 64, 64),
          specialisation,
          cost: {
            flop: 0,
            bytes: part.reduce((sum, slot) => sum + BYTES_PER_ELEMENT * slot.parameter.numel, 0),
          },
        });
        for (const tensor of spare) tensor.dispose();
      }
    },
  };
}

const vec4 = single(
  "2-vec4",
  "four elements an invocation",
  { name: "adamw/2-vec4", source: vec4Source, snippets: [params, rule] },
  256,
);

/** Adam and AdamW over many tensors. */
export const adamw: Ladder<AdamProblem, AdamStep> = {
  op: "adamw",
  steps: [
    single(
      "1-naive",
      "the port of the formula: an element an invocation, a dispatch a tensor",
      { name: "adamw/1-naive", source: naiveSource, snippets: [params] },
      64,
    ),
    vec4,
    joint({
      name: "3-many",
      idea: "the moments of all in one buffer: seven tensors a dispatch at 16 bindings",
      source: manySource,
      unit: 4,
      length: 1,
      text: choosers,
    }),
    joint({
      name: "4-loops",
      idea: "a workgroup goes over 4,096 elements, in a loop for each tensor",
      source: loopsSource,
      unit: 1,
      length: 64,
      text: (width) => loops(loopsSource, width),
    }),
    joint({
      name: "5-vec4",
      idea: "four elements at a time in the loops",
      source: wideSource,
      unit: 4,
      length: 16,
      text: (width) => loops(wideSource, width),
    }),
  ],
  rule: ({ info }) =>
    info.isFallbackAdapter
      ? { step: "4-loops", why: "a software driver: compiles in a third of the time of 5-vec4" }
      : { step: "5-vec4", why: "fewest dispatches, wide loads" },
  shapeClass: ({ tensors, elements }) => `${sizeBucket(tensors)}x${sizeBucket(elements)}`,
  own: (kernel: OwnKernel) =>
    single(
      kernel.name,
      "your kernel",
      { name: `adamw/${kernel.name}`, source: kernel.source, snippets: [params] },
      constantOf(kernel, "GROUP_ELEMENTS"),
    ),
};

/** Starts a step's kernel on the slots whose moments lie as it wants them; a tensor too large for that gets `2-vec4`. */
export function launchAdam(
  device: Device,
  step: AdamStep,
  slots: readonly AdamSlot[],
  settings: AdamSettings,
): void {
  if (step.layout === "apart") {
    step.launch(device, slots, settings);
    return;
  }
  const flat = (slot: AdamSlot) => isFlat(slot.expAvg, slot.expAvgSq);
  const large = slots.filter((slot) => !flat(slot));
  if (large.length > 0) vec4.launch(device, large, settings);
  step.launch(device, slots.filter(flat), settings);
}
