import type { CallbackContext, CallbackEvent, CallbackState, TrainerCallback } from "./callbacks.js";

/** The callbacks of a trainer, in order. */
export class CallbackHandler {
  readonly #callbacks: TrainerCallback[];
  readonly #context: CallbackContext;

  constructor(callbacks: readonly TrainerCallback[], context: CallbackContext) {
    this.#callbacks = [...callbacks];
    this.#context = context;
  }

  add(callback: TrainerCallback): void {
    this.#callbacks.push(callback);
  }

  /** Removes a callback, or the first of a class; gives back what was removed. */
  remove(
    callback: TrainerCallback | (abstract new (...args: never[]) => TrainerCallback),
  ): TrainerCallback | null {
    const at = this.#callbacks.findIndex((c) =>
      typeof callback === "function" ? c instanceof callback : c === callback,
    );
    return at < 0 ? null : this.#callbacks.splice(at, 1)[0]!;
  }

  /** Calls an event's functions one after the other and waits for each. */
  async call(event: CallbackEvent, extra: Readonly<Record<string, unknown>> = {}): Promise<void> {
    for (const callback of this.#callbacks) {
      const listener = callback[event] as ((context: CallbackContext) => void | Promise<void>) | undefined;
      if (listener) await listener.call(callback, { ...this.#context, ...extra });
    }
  }

  /** States by name of the class; a list where there are several of one. */
  states(): Record<string, CallbackState | CallbackState[]> {
    const out: Record<string, CallbackState | CallbackState[]> = {};
    for (const callback of this.#callbacks) {
      if (!callback.state) continue;
      const name = callback.constructor.name;
      const before = out[name];
      if (before === undefined) out[name] = callback.state();
      else out[name] = [...(Array.isArray(before) ? before : [before]), callback.state()];
    }
    return out;
  }

  /** Hands states back to the callbacks of the same classes, in order. */
  loadStates(states: Readonly<Record<string, CallbackState | CallbackState[]>>): void {
    const left = new Map(
      Object.entries(states).map(([name, state]) => [name, Array.isArray(state) ? [...state] : [state]]),
    );
    for (const callback of this.#callbacks) {
      const state = callback.loadState && left.get(callback.constructor.name)?.shift();
      if (state) callback.loadState!(state);
    }
  }
}
