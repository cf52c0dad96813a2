/**
 * A base class whose instances can be called: `tokenizer(texts)` is `tokenizer.call(texts)`, as in Python.
 * @typeParam F The call's signature, overloads included.
 */
export function callable<F extends (...args: never[]) => unknown>(): abstract new () => F & { call: F } {
  // A constructor that returns a function; instanceof, getters and fields work on it as on any other object.
  function Callable(): unknown {
    const self = (...args: never[]): unknown => (self as unknown as { call: F }).call(...args);
    return Object.setPrototypeOf(self, new.target.prototype);
  }
  return Callable as unknown as abstract new () => F & { call: F };
}
