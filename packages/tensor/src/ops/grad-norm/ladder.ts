import type { Device } from "../../device/device.js";
import { gridFor, type Kernel } from "../../device/kernel.js";
import { type Ladder, type LadderStep, type OwnKernel, sizeBucket } from "../../kernels/ladder.js";
import { constantOf } from "../../kernels/own.js";
import { Tensor } from "../../tensor.js";
import { ends, forEachTensor, padded, switchOver } from "../many/index.js";
import naiveSource from "./1-naive.wgsl";
import manySource from "./2-many.wgsl";
import loopsSource from "./3-loops.wgsl";
import stridedSource from "./4-strided.wgsl";
import clipNaiveSource from "./clip/1-naive.wgsl";
import clipVec4Source from "./clip/2-vec4.wgsl";
import clipManySource from "./clip/3-many.wgsl";
import clipParams from "./clip/params.wgsl";
import manyParams from "./many-params.wgsl";
import params from "./params.wgsl";

/** What the choice of a kernel depends on. */
export interface GradientsProblem {
  /** Gradients, and their elements in all. */
  readonly tensors: number;
  readonly elements: number;
}

/** A kernel of `grad_norm`: sums of squares of parts of the gradients (f32, without gaps, at the start of their memory). */
export interface NormStep extends LadderStep<GradientsProblem> {
  /** Partial sums, f32, 1-d: all squares are in one of them. */
  launch(device: Device, gradients: readonly Tensor[]): Tensor;
}

/** A kernel of `clip`: gradients times a 0-d tensor, in place. */
export interface ClipStep extends LadderStep<GradientsProblem> {
  launch(device: Device, gradients: readonly Tensor[], factor: Tensor): void;
}

/** What a list of gradients is to the ladders. */
export function problemOf(gradients: readonly Tensor[]): GradientsProblem {
  return { tensors: gradients.length, elements: gradients.reduce((sum, g) => sum + g.numel, 0) };
}

const bufferOf = (tensor: Tensor) => tensor.storage.buffer;
const bytesOf = (gradients: readonly Tensor[]) => 4 * problemOf(gradients).elements;
const base = { needs: () => null };
const shapeClass = ({ tensors, elements }: GradientsProblem) =>
  `${sizeBucket(tensors)}x${sizeBucket(elements)}`;

/** Sums that an invocation of the long kernels should leave, in all: few for the one workgroup that adds them up. */
const SUMS = 65536;

/** A dispatch's part of a list of gradients, and its workgroups. */
interface Batch {
  readonly gradients: readonly Tensor[];
  readonly params: number[];
  readonly groups: number;
}

/**
 * Cuts a list into parts that one dispatch binds, and hands out workgroups.
 * @param unit elements that an invocation takes at a time
 * @param length such units an invocation
 */
function batches(gradients: readonly Tensor[], width: number, unit: number, length: number): Batch[] {
  const out: Batch[] = [];
  for (let i = 0; i < gradients.length; i += width) {
    const part = gradients.slice(i, i + width);
    const counts = part.map((g) => g.numel);
    const last = ends(counts.map((count) => Math.ceil(count / (64 * unit * length))));
    const groups = last.at(-1)!;
    out.push({
      gradients: part,
      params: [0, ...padded(last, 16, groups), ...padded(counts, 16, 0)],
      groups,
    });
  }
  return out;
}

/** Gradients a dispatch: all bindings but one; the numbers of 16 fit `Params`. */
const widthOn = (device: Device) => Math.min(16, device.limits.maxStorageBuffersPerShaderStage - 1);

/** The bindings of gradients. */
function bindings(width: number, first: number, element: string, access: "read" | "read_write"): string {
  return Array.from(
    { length: width },
    (_, t) => `@group(0) @binding(${first + t}) var<storage, ${access}> gradient${t}: array<${element}>;`,
  ).join("\n");
}

function singleNorm(
  name: string,
  idea: string,
  kernel: Kernel,
  groupElements: number,
  groupSums: number,
): NormStep {
  return {
    ...base,
    name,
    idea,
    launch(device, gradients) {
      const groups = gradients.map((g) => Math.ceil(g.numel / groupElements));
      const partial = Tensor.empty(device, [groupSums * groups.reduce((a, b) => a + b, 0)]);
      let at = 0;
      gradients.forEach((gradient, i) => {
        device.run(kernel, {
          buffers: [gradient, partial].map(bufferOf),
          params: [gradient.numel, at],
          grid: gridFor(groups[i]!, 1),
          cost: { flop: 2 * gradient.numel, bytes: bytesOf([gradient]) },
        });
        at += groupSums * groups[i]!;
      });
      return partial;
    },
  };
}

/** The loops of all tensors, and `sum_of`, which chooses among them. */
const sums = (source: string, width: number) =>
  [
    forEachTensor(source, "sum_of0", ["gradient0"], width),
    `fn sum_of(t: u32, begin: u32, end: u32) -> f32 {\n  ${switchOver(width, (t) => `return sum_of${t}(begin, end);`)}\n}`,
  ].join("\n");

/** How a step over many gradients at once is made. */
interface Many {
  readonly name: string;
  readonly idea: string;
  readonly source: string;
  /** Elements that an invocation adds up. */
  readonly length: (elements: number) => number;
  /** WGSL that goes before the source, for a number of gradients. */
  readonly text: (width: number) => string;
}

function manyNorm({ name, idea, source, length: lengthFor, text }: Many): NormStep {
  const kernel: Kernel = { name: `grad_norm/${name}`, source, snippets: [manyParams] };
  return {
    ...base,
    name,
    idea,
    launch(device, gradients) {
      const width = widthOn(device);
      const length = lengthFor(problemOf(gradients).elements);
      const parts = batches(gradients, width, 1, length);
      const partial = Tensor.empty(device, [64 * parts.reduce((sum, { groups }) => sum + groups, 0)]);
      let at = 0;
      for (const { gradients: some, params: numbers, groups } of parts) {
        device.run(kernel, {
          buffers: [...padded(some, width, some[0]!), partial].map(bufferOf),
          params: [some.length - 1, length, at, ...numbers],
          grid: gridFor(groups, 1),
          specialisation: {
            text: [
              bindings(width, 1, "f32", "read"),
              `@group(0) @binding(${width + 1}) var<storage, read_write> partial: array<f32>;`,
              text(width),
            ].join("\n"),
          },
          cost: { flop: 2 * problemOf(some).elements, bytes: bytesOf(some) },
        });
        at += 64 * groups;
      }
      return partial;
    },
  };
}

/** Sums of squares of all gradients. */
export const gradNormLadder: Ladder<GradientsProblem, NormStep> = {
  op: "grad_norm",
  steps: [
    singleNorm(
      "1-naive",
      "256 elements in a row an invocation, a dispatch a tensor",
      { name: "grad_norm/1-naive", source: naiveSource, snippets: [params] },
      16384,
      64,
    ),
    manyNorm({
      name: "2-many",
      idea: "as many tensors a dispatch as there are bindings",
      source: manySource,
      length: () => 256,
      text: (width) =>
        `fn gradient(t: u32, i: u32) -> f32 {\n  ${switchOver(width, (t) => `return gradient${t}[i];`)}\n}`,
    }),
    manyNorm({
      name: "3-loops",
      idea: "a loop for each tensor: its binding is chosen once",
      source: loopsSource,
      length: () => 256,
      text: (width) => sums(loopsSource, width),
    }),
    manyNorm({
      name: "4-strided",
      idea: "neighbours read neighbouring elements, and leave few sums",
      source: stridedSource,
      length: (elements) => Math.max(16, Math.ceil(elements / SUMS)),
      text: (width) => sums(stridedSource, width),
    }),
  ],
  rule: () => ({ step: "4-strided", why: "fewest dispatches, joined loads" }),
  shapeClass,
  own: (kernel: OwnKernel) =>
    singleNorm(
      kernel.name,
      "your kernel",
      { name: `grad_norm/${kernel.name}`, source: kernel.source, snippets: [params] },
      constantOf(kernel, "GROUP_ELEMENTS"),
      constantOf(kernel, "GROUP_SUMS"),
    ),
};

function singleClip(name: string, idea: string, kernel: Kernel, groupElements: number): ClipStep {
  return {
    ...base,
    name,
    idea,
    launch(device, gradients, factor) {
      for (const gradient of gradients) {
        device.run(kernel, {
          buffers: [factor, gradient].map(bufferOf),
          params: [gradient.numel, factor.offset],
          grid: gridFor(gradient.numel, groupElements),
          cost: { flop: gradient.numel, bytes: 2 * bytesOf([gradient]) },
        });
      }
    },
  };
}

const LENGTH = 16;
const clipMany: Kernel = { name: "clip/3-many", source: clipManySource, snippets: [manyParams] };

/** Gradients times a factor, in place. */
export const clipLadder: Ladder<GradientsProblem, ClipStep> = {
  op: "clip",
  steps: [
    singleClip(
      "1-naive",
      "an element an invocation, a dispatch a tensor",
      { name: "clip/1-naive", source: clipNaiveSource, snippets: [clipParams] },
      64,
    ),
    singleClip(
      "2-vec4",
      "four elements an invocation",
      { name: "clip/2-vec4", source: clipVec4Source, snippets: [clipParams] },
      256,
    ),
    {
      ...base,
      name: "3-many",
      idea: "as many tensors a dispatch as there are bindings, 4,096 elements a workgroup",
      launch(device, gradients, factor) {
        const width = widthOn(device);
        for (const { gradients: some, params: numbers, groups } of batches(gradients, width, 4, LENGTH)) {
          // A buffer may be bound for writing only once: missing tensors get scratch memory of their own.
          const spare = Array.from({ length: width - some.length }, () => Tensor.empty(device, [4]));
          device.run(clipMany, {
            buffers: [factor, ...some, ...spare].map(bufferOf),
            params: [some.length - 1, LENGTH, factor.offset, ...numbers],
            grid: gridFor(groups, 1),
            specialisation: {
              text: [
                "@group(0) @binding(1) var<storage, read> control: array<f32>;",
                bindings(width, 2, "vec4<f32>", "read_write"),
                forEachTensor(clipManySource, "scale0", ["gradient0"], width),
                `fn scale(t: u32, factor: f32, first: u32, end: u32) {\n  ${switchOver(width, (t) => `scale${t}(factor, first, end);`)}\n}`,
              ].join("\n"),
            },
            cost: { flop: problemOf(some).elements, bytes: 2 * bytesOf(some) },
          });
          for (const tensor of spare) tensor.dispose();
        }
      },
    },
  ],
  rule: () => ({ step: "3-many", why: "fewest dispatches" }),
  shapeClass,
  own: (kernel: OwnKernel) =>
    singleClip(
      kernel.name,
      "your kernel",
      { name: `clip/${kernel.name}`, source: kernel.source, snippets: [clipParams] },
      constantOf(kernel, "GROUP_ELEMENTS"),
    ),
};
