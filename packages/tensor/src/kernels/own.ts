import { KernelError } from "../errors.js";
import type { OwnKernel } from "./ladder.js";

/**
 * Value of `const NAME: u32 = 16u;` (or `const NAME = 16;`) in a user's kernel: how the file tells the grid it was written for.
 * @param fallback taken where the file does not declare it
 * @throws KernelError if it is not declared and there is no fallback
 */
export function constantOf(kernel: OwnKernel, name: string, fallback?: number): number {
  const text = kernel.source.replace(/\/\/.*$/gm, "");
  const found = new RegExp(`\\bconst\\s+${name}\\s*(?::\\s*u32)?\\s*=\\s*(\\d+)u?\\s*;`).exec(text);
  const value = found ? Number(found[1]) : fallback;
  if (value === undefined || value < 1) {
    throw new KernelError(
      `${kernel.name}: it must declare \`const ${name}: u32 = …u;\` (a number from 1 on), which tells the engine how many workgroups to start. ` +
        "`wgrad kernels new` writes a file that does.",
    );
  }
  return value;
}
