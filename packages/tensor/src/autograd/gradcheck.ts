import { AutogradError, ValueError } from "../errors.js";
import { formatShape } from "../shape.js";
import { Tensor } from "../tensor.js";
import { coordinates } from "../verify/compare.js";
import { enableGrad, noGrad, scope } from "./modes.js";

/** Options of `gradcheck`. */
export interface GradcheckOptions {
  /** Step to each side, in units of the input. Default 1e-3: in f32 a smaller one drowns in rounding, a larger one in curvature. */
  eps?: number;
  /** A gradient passes if it differs by at most `atol + rtol * |numeric|`. Defaults 1e-3 and 1e-2. */
  atol?: number;
  rtol?: number;
  /** False: return false in place of throwing. Default true, as `raise_exception` in PyTorch. */
  raiseException?: boolean;
}

/** Weight of element `i` of the results: between 0.5 and 1.5 and without a pattern that a wrong gradient could hide behind. */
function weight(i: number): number {
  return Math.fround(0.5 + (((i + 1) * 0.6180339887) % 1));
}

/**
 * Compares gradients by backward with central finite differences, as `torch.autograd.gradcheck` in its fast mode: all results
 * are put together in one weighted sum, whose derivative by each cell of each input is taken both ways. Runs `fn` twice for each
 * cell, so keep the inputs small, and away from kinks such as 0 of relu.
 * @param fn the function; its results that are not floats are left out
 * @param inputs those with `requiresGrad` are checked and must be f32; they are not changed
 * @returns true, or false if a gradient is wrong and `raiseException` is false
 * @throws AutogradError naming the input, the cell and both values; ValueError if there is nothing to check
 */
export async function gradcheck(
  fn: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): Promise<boolean> {
  const { eps = 1e-3, atol = 1e-3, rtol = 1e-2, raiseException = true } = options;
  if (!inputs.some((x) => x.requiresGrad)) throw new ValueError("gradcheck: no input has requiresGrad set.");
  const wrongType = inputs.find((x) => x.requiresGrad && x.dtype !== "f32");
  if (wrongType)
    throw new ValueError(`gradcheck: an input is ${wrongType.dtype}; finite differences need f32.`);

  const values: Float32Array[] = [];
  for (const x of inputs)
    values.push(x.requiresGrad ? ((await x.toArray()) as Float32Array) : new Float32Array());
  const analytic = await gradientsByBackward(fn, inputs, values);

  const wrong: string[] = [];
  for (const [i, x] of inputs.entries()) {
    if (!x.requiresGrad) continue;
    for (let cell = 0; cell < x.numel; cell++) {
      const [high, low] = [Math.fround(values[i]![cell]! + eps), Math.fround(values[i]![cell]! - eps)];
      const above = await weightedSum(fn, inputs, i, withCell(values[i]!, cell, high));
      const below = await weightedSum(fn, inputs, i, withCell(values[i]!, cell, low));
      const numeric = (above - below) / (high - low);
      const got = analytic[i]![cell]!;
      const allowed = atol + rtol * Math.abs(numeric);
      if (Math.abs(got - numeric) <= allowed) continue;
      wrong.push(
        `input ${i} ${formatShape(x.shape)}, cell [${coordinates(cell, x.shape).join(", ")}]: ` +
          `${got} by backward, ${numeric} by finite differences (allowed difference ${allowed}).`,
      );
    }
  }
  if (wrong.length === 0) return true;
  if (!raiseException) return false;
  const more = wrong.length > 1 ? ` ${wrong.length - 1} more cells differ.` : "";
  throw new AutogradError(`gradcheck: ${wrong[0]}${more}`);
}

type Checked = (...inputs: Tensor[]) => Tensor | readonly Tensor[];

/** Results that are floats, as a list. */
function floats(results: Tensor | readonly Tensor[]): Tensor[] {
  const list = Array.isArray(results) ? (results as readonly Tensor[]) : [results as Tensor];
  return list.filter((y) => y.dtype === "f32" || y.dtype === "f16");
}

/** Gradient of the weighted sum for each input, zeros where none came. */
async function gradientsByBackward(
  fn: Checked,
  inputs: readonly Tensor[],
  values: readonly Float32Array[],
): Promise<ArrayLike<number>[]> {
  const leaves = inputs.map((x, i) =>
    x.requiresGrad ? Tensor.from(x.device, values[i]!, x.shape, { requiresGrad: true }).keep() : x,
  );
  try {
    enableGrad(() =>
      scope(() => {
        let first = 0;
        const terms = floats(fn(...leaves)).map((y) => {
          const weights = Float32Array.from({ length: y.numel }, (_, k) => weight(first + k));
          first += y.numel;
          return y.mul(Tensor.from(y.device, weights, y.shape)).sum();
        });
        const total = terms.reduce((sum, term) => sum.add(term));
        if (total.requiresGrad) total.backward();
      }),
    );
    const gradients: ArrayLike<number>[] = [];
    for (const leaf of leaves) gradients.push((await leaf.grad?.toArray()) ?? new Float32Array(leaf.numel));
    return gradients;
  } finally {
    for (const [i, leaf] of leaves.entries()) if (leaf !== inputs[i]) leaf.dispose();
  }
}

function withCell(values: Float32Array, cell: number, value: number): Float32Array {
  const copy = values.slice();
  copy[cell] = value;
  return copy;
}

/** The weighted sum of the results with input `i` replaced, added up in f64. */
async function weightedSum(
  fn: Checked,
  inputs: readonly Tensor[],
  i: number,
  values: Float32Array,
): Promise<number> {
  const outputs = noGrad(() =>
    scope(() => {
      const changed = Tensor.from(inputs[i]!.device, values, inputs[i]!.shape);
      // A copy: a result may be a view of an input, which the caller keeps.
      return floats(fn(...inputs.map((x, k) => (k === i ? changed : x)))).map((y) => y.clone().keep());
    }),
  );
  let total = 0;
  let first = 0;
  for (const y of outputs) {
    const array = await y.toArray();
    for (let k = 0; k < array.length; k++) total += array[k]! * weight(first + k);
    first += array.length;
    y.dispose();
  }
  return total;
}
