import { at, place } from "../device/place.js";
import { currentRecorder, effect } from "../device/recording.js";
import { AutogradError } from "../errors.js";
import { accumulate as addInPlace } from "../ops/accumulate/index.js";
import { formatShape } from "../shape.js";
import type { Tensor } from "../tensor.js";
import { noGrad, scope, untrack } from "./modes.js";

/** Where a gradient goes: into an earlier operation's output, or into a leaf's `.grad`. */
type Edge = { node: GraphNode; output: number } | { leaf: Tensor } | null;

/** Called with a gradient as it arrives; may return another to put in its place. */
export type GradientHook = (gradient: Tensor) => Tensor | undefined;

/**
 * Gives a backward function the gradient that input i got from operations that came before it in the walk, or null. Who takes
 * it adds it to the gradient it returns for that input: in the epilogue of a product that costs nothing, where a sum of its
 * own reads and writes all of it again.
 */
export type TakeAddend = (input: number) => Tensor | null;

type Backward = (gradients: (Tensor | null)[], takeAddend: TakeAddend) => (Tensor | null)[];

/** A tensor kept for backward: an alias without tape, and the version its storage had. */
interface Saved {
  tensor: Tensor;
  version: number;
}

/**
 * One recorded operation. It is counted, not left to the garbage collector: each output tensor and each later
 * operation that used one holds it, and with the last of them go the tensors it saved.
 */
export class GraphNode {
  readonly name: string;
  readonly edges: readonly Edge[];
  readonly outputs: number;
  readonly hooks: Map<number, Set<GradientHook>> = new Map();
  #saved: Saved[] | null;
  /** The module whose forward made it. */
  readonly module: object | null = place().module;
  #backward: Backward;
  #holders = 0;

  constructor(
    name: string,
    inputs: readonly Tensor[],
    outputs: number,
    saved: readonly Tensor[],
    backward: Backward,
  ) {
    this.name = name;
    this.outputs = outputs;
    this.#backward = backward;
    this.edges = inputs.map((input): Edge => {
      if (!input.requiresGrad) return null;
      if (!input.node) return { leaf: input };
      input.node.hold();
      return { node: input.node, output: input.outputIndex };
    });
    this.#saved = saved.map((tensor) => ({ tensor, version: tensor.storage.version }));
  }

  hold(): void {
    this.#holders++;
  }

  /** Drops one holder; with the last, the saved tensors and the hold on earlier nodes. Iterative: tapes are long. */
  letGo(): void {
    const queue: GraphNode[] = [this];
    for (let node = queue.pop(); node; node = queue.pop()) {
      node.#holders--;
      if (node.#holders > 0) continue;
      node.releaseSaved();
      for (const edge of node.edges) if (edge && "node" in edge) queue.push(edge.node);
    }
  }

  /** The tensors kept by `ctx.saveForBackward`, checked for changes since. */
  savedTensors(): Tensor[] {
    if (!this.#saved) {
      throw new AutogradError(
        `${this.name}: backward ran through this graph before and its saved tensors are gone. ` +
          "Call backward({ retainGraph: true }) the first time if it must run twice.",
      );
    }
    return this.#saved.map(({ tensor, version }) => {
      if (tensor.storage.version !== version) {
        throw new AutogradError(
          `${this.name}: a tensor of shape ${formatShape(tensor.shape)} needed for its gradient was changed in place ` +
            "since. Update parameters after backward, not between forward and backward.",
        );
      }
      return tensor;
    });
  }

  releaseSaved(): void {
    for (const { tensor } of this.#saved ?? []) tensor.dispose();
    this.#saved = null;
  }

  run(gradients: (Tensor | null)[], takeAddend: TakeAddend): (Tensor | null)[] {
    return at({ phase: "backward", op: this.name, module: this.module }, () =>
      this.#backward(gradients, takeAddend),
    );
  }
}

/** Nodes reachable from `root` in an order in which each comes after everything that uses it. */
function topologicalOrder(root: GraphNode): GraphNode[] {
  const order: GraphNode[] = [];
  const seen = new Set<GraphNode>();
  const stack: { node: GraphNode; next: number }[] = [{ node: root, next: 0 }];
  seen.add(root);
  while (stack.length > 0) {
    const top = stack[stack.length - 1]!;
    const edge = top.node.edges[top.next];
    if (top.next++ < top.node.edges.length) {
      if (edge && "node" in edge && !seen.has(edge.node)) {
        seen.add(edge.node);
        stack.push({ node: edge.node, next: 0 });
      }
    } else {
      order.push(top.node);
      stack.pop();
    }
  }
  return order.reverse();
}

function applyHooks(hooks: Set<GradientHook> | undefined, gradient: Tensor): Tensor {
  let current = gradient;
  for (const hook of hooks ?? []) current = hook(current) ?? current;
  return current;
}

/** Reverse-mode walk from `root`; see `Tensor.backward`. Gradients of intermediate results are freed as they are used. */
export function runBackward(root: Tensor, gradient: Tensor, retainGraph: boolean): void {
  if (!root.node) {
    accumulate(root, gradient);
    return;
  }
  const pending = new Map<GraphNode, (Tensor | null)[]>();
  const slots = new Array<Tensor | null>(root.node.outputs).fill(null);
  const seed = gradient.alias();
  untrack(seed);
  slots[root.outputIndex] = seed;
  pending.set(root.node, slots);
  noGrad(() => {
    for (const node of topologicalOrder(root.node!)) {
      const incoming = pending.get(node);
      pending.delete(node);
      if (!incoming) {
        if (!retainGraph) node.releaseSaved();
        continue;
      }
      const kept = scope(() => {
        const hooked = incoming.map((g, i) => (g ? applyHooks(node.hooks.get(i), g) : null));
        const soFar = (edge: Edge) =>
          edge && "node" in edge ? (pending.get(edge.node)?.[edge.output] ?? null) : null;
        const taken = new Set<Tensor>();
        const results = node.run(hooked, (input) => {
          const addend = soFar(node.edges[input] ?? null);
          if (!addend || taken.has(addend)) return null;
          taken.add(addend);
          return addend;
        });
        const made: Tensor[] = [];
        node.edges.forEach((edge, i) => {
          const result = results[i];
          if (!edge || !result) return;
          if ("leaf" in edge) {
            at({ phase: "backward", op: "accumulate", module: node.module }, () =>
              accumulate(edge.leaf, result),
            );
            return;
          }
          let target = pending.get(edge.node);
          if (!target) {
            target = new Array<Tensor | null>(edge.node.outputs).fill(null);
            pending.set(edge.node, target);
          }
          const before = target[edge.output];
          // An alias, because one result may be the gradient of two inputs (as for a + b).
          const sum =
            before && !taken.delete(before)
              ? at({ phase: "backward", op: "add", module: edge.node.module }, () => before.add(result))
              : result.alias();
          before?.dispose();
          target[edge.output] = sum;
          made.push(sum);
        });
        return made;
      });
      for (const tensor of kept) untrack(tensor);
      for (const g of incoming) g?.dispose();
      if (!retainGraph) node.releaseSaved();
    }
  });
}

/** Sets a leaf's gradient to null, also when a captured step that does so is replayed. */
export function dropGradient(leaf: Tensor): void {
  // Whatever the gradient was, it does not matter to a step that begins with this.
  currentRecorder()?.guard("gradient", leaf, () => true);
  effect(() => {
    leaf.grad?.dispose();
    leaf.grad = null;
  });
}

function accumulate(leaf: Tensor, gradient: Tensor): void {
  if (gradient.numel !== leaf.numel) {
    throw new AutogradError(
      `gradient of shape ${formatShape(gradient.shape)} for a tensor of shape ${formatShape(leaf.shape)}: ` +
        "the operation's backward returns the wrong shape.",
    );
  }
  const hooked = applyHooks(leaf.hooks, gradient);
  const before = leaf.grad;
  const memory = before?.storage ?? null;
  currentRecorder()?.guard("gradient", leaf, () => (leaf.grad?.storage ?? null) === memory);
  if (before?.isContiguous && before.offset === 0) {
    noGrad(() => addInPlace(before, hooked));
    return;
  }
  // A gradient is changed in place (clipping), so it must be alone in its memory: not a view, nor also the gradient of b in a + b.
  const alone = hooked.isContiguous && hooked.offset === 0 && hooked.storage.references === 1;
  const next = noGrad(() => (before ? before.add(hooked) : alone ? hooked.alias() : hooked.clone()));
  untrack(next);
  before?.dispose();
  leaf.grad = next;
}
