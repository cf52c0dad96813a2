import type { Tensor } from "../tensor.js";

let gradEnabled = true;

/** True if operations are recorded on the tape now, as `torch.is_grad_enabled`. */
export function isGradEnabled(): boolean {
  return gradEnabled;
}

function withGrad<T>(enabled: boolean, body: () => T): T {
  const before = gradEnabled;
  gradEnabled = enabled;
  try {
    const result = body();
    refuseAsync("noGrad and enableGrad", result);
    return result;
  } finally {
    gradEnabled = before;
  }
}

/** Runs `body` without recording on the tape. `body` must be synchronous. */
export function noGrad<T>(body: () => T): T {
  return withGrad(false, body);
}

/** Runs `body` with recording on, inside a `noGrad`. */
export function enableGrad<T>(body: () => T): T {
  return withGrad(true, body);
}

/** Tensors made in the innermost scope; null outside of any. */
let current: Set<Tensor> | null = null;

/** Makes the innermost scope responsible for a new tensor. Called by `Tensor`'s constructor. */
export function track(tensor: Tensor): void {
  current?.add(tensor);
}

/** Takes a tensor out of every scope's care: it lives until `dispose()`. */
export function untrack(tensor: Tensor): void {
  current?.delete(tensor);
}

/**
 * Runs `body` and gives back the memory of every tensor made in it, except those it returns (looked for in arrays and
 * plain objects too; they belong to the enclosing scope then), and what the tape still needs. A training step is one
 * scope. `body` must be synchronous: it only enqueues work, so there is nothing to wait for inside.
 */
export function scope<T>(body: () => T): T {
  const outer = current;
  const mine = new Set<Tensor>();
  current = mine;
  let result: T;
  try {
    result = body();
    refuseAsync("scope", result);
  } catch (error) {
    current = outer;
    for (const tensor of mine) tensor.dispose();
    throw error;
  }
  current = outer;
  forEachTensor(result, (tensor) => {
    if (mine.delete(tensor)) outer?.add(tensor);
  });
  for (const tensor of mine) tensor.dispose();
  return result;
}

function refuseAsync(what: string, result: unknown): void {
  if (result instanceof Promise) {
    throw new TypeError(`${what} take a synchronous function: return the tensors and read them after it.`);
  }
}

/** Calls `visit` for the tensors in a value: itself, or in arrays and plain objects (and objects of classes) at any depth. */
function forEachTensor(value: unknown, visit: (tensor: Tensor) => void): void {
  if (value === null || typeof value !== "object") return;
  if (isTensor(value)) visit(value);
  else if (Array.isArray(value)) for (const item of value) forEachTensor(item, visit);
  else if (value instanceof Map) for (const item of value.values()) forEachTensor(item, visit);
  else if (Object.getPrototypeOf(value) === Object.prototype) {
    for (const key in value) forEachTensor((value as Record<string, unknown>)[key], visit);
  }
}

/** Structural test, so that this module need not import the class (which imports every op). */
function isTensor(value: object): value is Tensor {
  return "storage" in value && "dispose" in value && "dtype" in value;
}
