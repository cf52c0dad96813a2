import { gridFor, type Kernel } from "../../device/kernel.js";
import { Tensor } from "../../tensor.js";
import partialSource from "./partial-squares.wgsl";
import scaleSource from "./scale.wgsl";

const partialSquares: Kernel = { name: "grad-norm/partial-squares", source: partialSource };
const scale: Kernel = { name: "grad-norm/scale", source: scaleSource };

/** Elements that one invocation of `partial-squares.wgsl` adds up. */
const ELEMENTS = 256;

/** Running totals of a list. */
function ends(counts: readonly number[]): number[] {
  let total = 0;
  return counts.map((count) => {
    total += count;
    return total;
  });
}

/** Fills a list up to `length` with `fill`: a kernel has a fixed number of bindings, and the last tensors may be fewer. */
function padded<T>(values: readonly T[], length: number, fill: T): T[] {
  return [...values, ...new Array<T>(length - values.length).fill(fill)];
}

/** Sum of the squares of all elements of all tensors (f32, contiguous), a 0-d tensor. */
export function sumOfSquares(tensors: readonly Tensor[]): Tensor {
  const { device } = tensors[0]!;
  const parts = tensors.map((t) => Math.ceil(t.numel / ELEMENTS));
  const partial = Tensor.empty(device, [parts.reduce((a, b) => a + b, 0)]);
  let offset = 0;
  for (let i = 0; i < tensors.length; i += 4) {
    const some = tensors.slice(i, i + 4);
    const counts = parts.slice(i, i + 4);
    const last = ends(counts);
    const total = last.at(-1)!;
    device.run(partialSquares, {
      buffers: [...padded(some, 4, some[0]!).map((t) => t.storage.buffer), partial.storage.buffer],
      params: [
        ...padded(
          some.map((t) => t.numel),
          4,
          0,
        ),
        ...padded(last, 4, total),
        offset,
      ],
      grid: gridFor(total, 64),
    });
    offset += total;
  }
  return partial.sum();
}

/** Multiplies all tensors (f32, contiguous) by the 0-d tensor `coefficient`, in place. */
export function scaleInPlace(tensors: readonly Tensor[], coefficient: Tensor): void {
  const { device } = coefficient;
  for (let i = 0; i < tensors.length; i += 3) {
    const some = tensors.slice(i, i + 3);
    const groups = some.map((t) => Math.ceil(t.numel / 4));
    const last = ends(groups.map((count) => Math.ceil(count / 64)));
    const total = last.at(-1)!;
    // A buffer may be bound for writing only once: missing tensors get scratch memory of their own.
    const scratch = padded<Tensor | null>(some, 3, null).map((t) => t ?? Tensor.empty(device, [1]));
    device.run(scale, {
      buffers: [coefficient, ...scratch].map((t) => t.storage.buffer),
      params: [...padded(groups, 4, 0), ...padded(last, 4, total)],
      grid: gridFor(total * 64, 64),
    });
    for (const tensor of some) tensor.storage.version++;
  }
}
