import { at } from "../device/place.js";
import { isFloating } from "../dtype.js";
import { type RandomRange, rememberRanges, repeatRanges } from "../random/generator.js";
import { Tensor } from "../tensor.js";
import { autocast, autocastDtype } from "./autocast.js";
import { GraphNode, runBackward } from "./graph.js";
import { enableGrad, isGradEnabled, noGrad, scope, track, untrack } from "./modes.js";

/**
 * Calls `fn(...args)` and keeps nothing of what it computes on the way: backward calls it again. Trades time (one more forward
 * of this part) for memory (only `args` and the results are held between forward and backward). As
 * `torch.utils.checkpoint.checkpoint`.
 *
 *     for (const layer of layers) x = checkpoint((h) => layer.forward(h, mask), x);
 *
 * The second call draws the same random numbers (dropout) and computes in the same types (`autocast`), so that gradients are
 * the same bit for bit. Parameters inside `fn` get theirs as ever. Tensors that have been computed from others with gradients
 * must be arguments: `fn` may take leaves and tensors without gradient from outside, but not those.
 * @param fn synchronous; called once or twice, so it must not count calls or change state
 * @param args tensors and other values; tensors only at the top level, not in lists or objects
 * @returns what `fn` returns: a tensor, or a list of them
 */
export function checkpoint<Arguments extends readonly unknown[], Result extends Tensor | readonly Tensor[]>(
  fn: (...args: Arguments) => Result,
  ...args: Arguments
): Result {
  if (!isGradEnabled()) return fn(...args);
  const ranges: RandomRange[] = [];
  const dtype = autocastDtype();
  const first = rememberRanges(ranges, () => noGrad(() => scope(() => fn(...args))));
  // A tensor that was there before gets a handle of its own, since the results are bound to this call.
  const owned = (tensor: Tensor) =>
    tensor.requiresGrad || tensor.node || args.includes(tensor) ? tensor.alias() : tensor;
  const results = listOf(first).map(owned);
  const inputs = args.filter((arg) => arg instanceof Tensor);
  const wanted = inputs.map((input) => input.requiresGrad);
  const node = new GraphNode("checkpoint", inputs, results.length, inputs.map(kept), (gradients) => {
    const found = new Array<Tensor | null>(inputs.length).fill(null);
    const copies = node.savedTensors().map((tensor, i) => {
      const copy = tensor.alias();
      if (wanted[i])
        copy.attach(
          catcher((gradient) => (found[i] = gradient)),
          0,
        );
      return copy;
    });
    let next = 0;
    const again = args.map((arg) => (arg instanceof Tensor ? copies[next++] : arg)) as unknown as Arguments;
    at({ op: "" }, () => {
      const second = repeatRanges(ranges, () => autocast(dtype, () => enableGrad(() => fn(...again))));
      backwardOf(listOf(second), gradients);
    });
    for (const gradient of found) if (gradient) track(gradient);
    return found;
  });
  let held = false;
  results.forEach((tensor, i) => {
    if (!isFloating(tensor.dtype)) return;
    tensor.attach(node, i);
    held = true;
  });
  if (!held) {
    node.hold();
    node.letGo();
  }
  return (Array.isArray(first) ? results : results[0]!) as Result;
}

const listOf = (result: Tensor | readonly Tensor[]): readonly Tensor[] =>
  result instanceof Tensor ? [result] : result;

/** A handle without tape, outside of every scope. */
function kept(tensor: Tensor): Tensor {
  const alias = tensor.alias();
  untrack(alias);
  return alias;
}

/** Where the tape of the second call begins: hands over the gradient that arrives there. */
function catcher(take: (gradient: Tensor) => void): GraphNode {
  return new GraphNode("checkpoint.input", [], 1, [], ([gradient]) => {
    if (gradient) take(kept(gradient));
    return [];
  });
}

/** Backward from several tensors at once, with a gradient for each that got one. */
function backwardOf(tensors: readonly Tensor[], gradients: readonly (Tensor | null)[]): void {
  const roots = tensors.flatMap((tensor, i) => {
    const gradient = gradients[i];
    return gradient && tensor.requiresGrad ? [{ tensor, gradient }] : [];
  });
  const [one] = roots;
  if (!one) return;
  const join = new GraphNode(
    "checkpoint.outputs",
    roots.map(({ tensor }) => tensor),
    1,
    [],
    () => roots.map(({ gradient }) => gradient),
  );
  const root = one.gradient.alias();
  root.attach(join, 0);
  runBackward(root, one.gradient, false);
  root.dispose();
}
