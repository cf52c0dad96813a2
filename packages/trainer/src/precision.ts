import { autocast, type Device } from "@wgrad/tensor";
import type { CallbackHandler } from "./callback-handler.js";
import type { TrainingArguments } from "./training-arguments.js";

/** Computes in the precision that the arguments ask for. */
export function inPrecision<T>(args: Readonly<TrainingArguments>, body: () => T): T {
  return args.fp16 ? autocast("f16", body) : body();
}

/** Enqueues work while its programs are compiled in parallel, and tells callbacks how far that is. */
export async function prepared<T>(device: Device, handler: CallbackHandler, body: () => T): Promise<T> {
  const told: Promise<void>[] = [];
  const result = await device.prepare(body, ({ done, total }) => {
    told.push(handler.call("onCompile", { done, total }));
  });
  await Promise.all(told);
  return result;
}
