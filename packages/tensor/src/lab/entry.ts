import type { Device } from "../device/device.js";
import type { Ladder, LadderStep } from "../kernels/ladder.js";
import type { Tensor } from "../tensor.js";

/** A problem made ready on a device: inputs are there, `run` may be called any number of times. */
export interface Prepared {
  /**
   * Enqueues the op once, with the kernel that `choose` picks now, and returns its results, named as in `expected`. Call it in
   * a scope.
   */
  run(): Record<string, Tensor>;
  /** The results by the CPU reference, in f64 where it can. Computed on the first call: it may take long. */
  expected(): Record<string, Float32Array | Float64Array>;
  /** A result passes if every |got - want| is at most `atol + rtol * |want|`. */
  readonly tolerance: { readonly rtol: number; readonly atol: number };
  /** Frees the inputs. */
  dispose(): void;
}

/** One problem of an op, described by its shape text. */
export interface Workload {
  /** Such as `1024x768x768,nt`: what `--shape` takes. */
  readonly shape: string;
  /** Floating-point operations of one run (a multiplication and an addition are two); 0 where bytes are what counts. */
  readonly flop: number;
  /** Bytes that must be read and written at least. */
  readonly bytes: number;
  /** Sizes and flags as the ladder's choice sees them. */
  readonly problem: unknown;
  /** Makes seeded random inputs on the device. */
  prepare(device: Device): Prepared;
}

/**
 * What `wgrad kernels` knows of one ladder: its workloads, reference and contract. One is in every `ops/…/lab.ts`; the list of
 * all is `lab/entries.ts`.
 */
export interface LabEntry<Problem = unknown> {
  readonly ladder: Ladder<Problem, LadderStep<Problem>>;
  /** What the op computes, one line, with the formula. */
  readonly summary: string;
  /** PyTorch's or a paper's name for the reference. */
  readonly reference: string;
  /** Form of a shape text, such as `MxKxN[,nt|tn|tt][,f16][,bias][,gelu]`. */
  readonly shapeFormat: string;
  /** Shapes of the training step (and others that matter): what `bench` and `tune` measure. */
  readonly benchShapes: readonly string[];
  /** Small and awkward shapes (edges, one row, odd sizes, every flag): what `check` runs. */
  readonly checkShapes: readonly string[];
  /** @throws ValueError for a text that is not of the form */
  workload(shape: string): Workload;
  readonly contract: Contract;
}

/** What a user's kernel for an op must keep to. */
export interface Contract {
  /** Bindings, constants and grid in words, one line each: the head of the file that `wgrad kernels new` writes. */
  readonly description: readonly string[];
  /** WGSL that is put before the user's file: the `Params` struct and helpers. Shown by `wgrad kernels show`. */
  readonly provided: readonly string[];
  /** The whole file that `wgrad kernels new` writes below the description: a plain kernel that is right. */
  readonly template: string;
}
