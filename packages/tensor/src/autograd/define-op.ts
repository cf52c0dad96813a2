import type { Device } from "../device/device.js";
import { at, place } from "../device/place.js";
import { currentRecorder } from "../device/recording.js";
import { type Dtype, isFloating } from "../dtype.js";
import { AutogradError } from "../errors.js";
import type { Shape } from "../shape.js";
import type { Tensor } from "../tensor.js";
import { GraphNode, type TakeAddend } from "./graph.js";
import { isGradEnabled, noGrad, scope, untrack } from "./modes.js";

/** What forward and backward of one call share; the counterpart of `ctx` in `torch.autograd.Function`. */
export interface OpContext<Attributes> {
  readonly device: Device;
  readonly attributes: Attributes;
  /** Shape of each input. */
  readonly inputShapes: readonly Shape[];
  /** Element type of each input. */
  readonly inputDtypes: readonly Dtype[];
  /** For each input: whether a gradient is wanted. All false where nothing is recorded, so that forward can skip extra work. */
  readonly needsInputGrad: readonly boolean[];
  /** Keeps tensors (inputs, outputs or others) for backward. Call it at most once, in forward. */
  saveForBackward(...tensors: Tensor[]): void;
  /** In backward: the tensors kept, in order. */
  readonly savedTensors: readonly Tensor[];
  /**
   * In backward: the gradient that input i got from other operations so far, in its shape, or null. Who takes it must add it
   * to the gradient it returns for that input, which saves a sum of its own.
   */
  takeAddend(input: number): Tensor | null;
}

/** An operation with its gradient. */
export interface OpDefinition<Attributes, Output extends Tensor | Tensor[]> {
  /** Shown in errors and profiles. */
  readonly name: string;
  /** Computes the output. Runs without tape, so other tensor operations may be used freely. */
  forward(ctx: OpContext<Attributes>, inputs: readonly Tensor[], attributes: Attributes): Output;
  /**
   * Vector-Jacobian product: the gradients of the inputs, in their shapes, from those of the outputs (null for an output
   * that got none). Return null for inputs without gradient; skip those whose `ctx.needsInputGrad` is false.
   */
  backward?(ctx: OpContext<Attributes>, gradients: readonly (Tensor | null)[]): (Tensor | null)[];
}

/**
 * Makes a differentiable operation out of a forward and a backward function. The engine's own operations are made with
 * it, and so are a user's: `examples/own-kernel` is a whole one, with the convention for its WGSL.
 *
 *     const square = defineOp({
 *       name: "square",
 *       forward(ctx, [x]) {
 *         ctx.saveForBackward(x);
 *         return x.mul(x);                                        // or ctx.device.run(kernel, …)
 *       },
 *       backward: (ctx, [dy]) => [dy.mul(ctx.savedTensors[0]).mul(2)],
 *     });
 *     const y = square([x], undefined);
 *
 * Both functions must be synchronous. Gradients may arrive as views (expanded by a sum, transposed): call
 * `contiguous()` where a kernel reads memory in order. Values of a call that backward needs and that are no tensors, such
 * as a dropout's random range, are `attributes`.
 * @returns a function from inputs and attributes to the output
 * @throws AutogradError, from the function, for no inputs or inputs on different devices; from `backward()`, if the
 *   operation has no `backward`, or a tensor it saved was changed in place since
 */
export function defineOp<Attributes = undefined, Output extends Tensor | Tensor[] = Tensor>(
  definition: OpDefinition<Attributes, Output>,
): (inputs: readonly Tensor[], attributes: Attributes) => Output {
  return (inputs, attributes) => {
    const first = inputs[0];
    if (!first) throw new AutogradError(`${definition.name}: an operation needs at least one tensor.`);
    const device = first.device;
    for (const input of inputs) {
      input.assertLive(definition.name);
      if (input.device !== device)
        throw new AutogradError(`${definition.name}: its inputs are on different devices.`);
    }
    const record = isGradEnabled() && inputs.some((input) => input.requiresGrad);
    let saved: Tensor[] = [];
    let node: GraphNode | null = null;
    let addend: TakeAddend = () => null;
    const ctx: OpContext<Attributes> = {
      device,
      attributes,
      inputShapes: inputs.map((input) => input.shape),
      inputDtypes: inputs.map((input) => input.dtype),
      needsInputGrad: inputs.map((input) => record && input.requiresGrad),
      saveForBackward: (...tensors) => {
        if (record) saved = tensors.map(keep);
      },
      get savedTensors() {
        return node?.savedTensors() ?? [];
      },
      takeAddend: (input) => addend(input),
    };
    guardLeaves(inputs);
    const forward = () => definition.forward(ctx, inputs, attributes);
    const output = noGrad(() =>
      scope(() => {
        // An operation made of others counts as one.
        const made = place().op === "" ? at({ op: definition.name }, forward) : forward();
        const outputs = (Array.isArray(made) ? made : [made]) as Tensor[];
        // An operation that has nothing to do may return its input: the result is a handle of its own all the same.
        const owned = outputs.map((tensor) => (inputs.includes(tensor) ? tensor.alias() : tensor));
        return (Array.isArray(made) ? owned : owned[0]!) as Output;
      }),
    );
    if (!record) return output;
    const outputs = (Array.isArray(output) ? output : [output]) as Tensor[];
    const { backward } = definition;
    node = new GraphNode(definition.name, inputs, outputs.length, saved, (gradients, takeAddend) => {
      if (!backward)
        throw new AutogradError(`${definition.name}: no gradient is defined for this operation.`);
      addend = takeAddend;
      return backward(ctx, gradients);
    });
    let held = false;
    outputs.forEach((tensor, index) => {
      if (!isFloating(tensor.dtype)) return;
      tensor.attach(node!, index);
      held = true;
    });
    if (!held) {
      node.hold();
      node.letGo();
    }
    return output;
  };
}

/** A recorded step does not fit any more when a leaf that it uses is gone, or begins or ceases to want a gradient. */
function guardLeaves(inputs: readonly Tensor[]): void {
  const recorder = currentRecorder();
  if (!recorder) return;
  for (const input of inputs) {
    if (input.node) continue;
    const wanted = input.requiresGrad;
    if (wanted) recorder.guard("leaf", input, () => !input.isDisposed && input.requiresGrad === wanted);
  }
}

/** A handle without tape, outside of every scope, that keeps the storage alive until the node lets it go. */
function keep(tensor: Tensor): Tensor {
  const alias = tensor.alias();
  untrack(alias);
  return alias;
}
