import { entries as adamw } from "../ops/adam/lab.js";
import { entries as attention } from "../ops/attention/lab.js";
import { entries as crossEntropy } from "../ops/cross-entropy/lab.js";
import { entries as embedding } from "../ops/embedding/lab.js";
import { entries as gelu } from "../ops/gelu/lab.js";
import { entries as gradNorm } from "../ops/grad-norm/lab.js";
import { entries as layerNorm } from "../ops/layer-norm/lab.js";
import { entries as matmul } from "../ops/matmul/lab.js";
import { entries as softmax } from "../ops/softmax/lab.js";
import type { LabEntry } from "./entry.js";

/** Every ladder that `wgrad kernels` knows, in the order of the course. Each op's folder has a `lab.ts` that lists its own. */
export const entries: readonly LabEntry[] = [
  ...matmul,
  ...softmax,
  ...layerNorm,
  ...attention,
  ...crossEntropy,
  ...gelu,
  ...embedding,
  ...adamw,
  ...gradNorm,
];
