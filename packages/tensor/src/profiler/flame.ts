import { addSample, OUTSIDE, samplesOf, type Totals, toMean, zero } from "./aggregate.js";
import type { DispatchSample, Profile } from "./profile.js";

/** What a node of the flame chart stands for. */
export type FlameKind = "step" | "phase" | "module" | "op" | "kernel";

/** A node of the flame chart; its totals hold those of all nodes inside. */
export interface FlameNode extends Totals {
  readonly name: string;
  readonly kind: FlameKind;
  /** Operation of an op or a kernel; "" for the others. */
  readonly op: string;
  /** In the order in which they first ran. */
  readonly children: readonly FlameNode[];
}

interface Growing extends FlameNode {
  readonly children: Growing[];
  readonly byName: Map<string, Growing>;
}

/** Nodes from the pass down to the kernel that a dispatch belongs to. */
function placesOf(sample: DispatchSample): { kind: FlameKind; name: string; op: string }[] {
  const modules = sample.module === null ? [OUTSIDE] : sample.module === "" ? [] : sample.module.split(".");
  const isOptimizer = sample.phase === "optimizer";
  return [
    { kind: "phase", name: sample.phase, op: "" },
    // All of an optimizer's work lies outside of the modules, so that level would say nothing.
    ...(isOptimizer ? [] : modules).map((name) => ({ kind: "module" as const, name, op: "" })),
    { kind: "op", name: sample.op, op: sample.op },
    { kind: "kernel", name: `${sample.kernel} ${sample.shape}`.trim(), op: sample.op },
  ];
}

/**
 * The step as a tree: pass, module by module, operation, kernel with its shape. Nodes with the same place are one; times are
 * means over the profiled steps.
 */
export function flameTree(profile: Profile): FlameNode {
  const make = (kind: FlameKind, name: string, op: string): Growing => ({
    ...zero(),
    kind,
    name,
    op,
    children: [],
    byName: new Map(),
  });
  const root = make("step", "step", "");
  const all = [root];
  for (const sample of samplesOf(profile)) {
    let node = root;
    addSample(node, sample);
    for (const { kind, name, op } of placesOf(sample)) {
      let next = node.byName.get(`${kind} ${name}`);
      if (!next) {
        next = make(kind, name, op);
        node.byName.set(`${kind} ${name}`, next);
        node.children.push(next);
        all.push(next);
      }
      addSample(next, sample);
      node = next;
    }
  }
  for (const node of all) toMean(node, profile);
  return strip(root);
}

/** Without what only building needed, and with modules that hold nothing but one module joined to it: `transformer.layer`. */
function strip({ byName: _, children, ...node }: Growing): FlameNode {
  const only = children.length === 1 ? children[0] : undefined;
  if (node.kind === "module" && only?.kind === "module") {
    return strip({ ...only, name: `${node.name}.${only.name}` });
  }
  return { ...node, children: children.map(strip) };
}
