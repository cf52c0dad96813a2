import { ShapeError } from "./errors.js";

/** Sizes of a tensor's dimensions, outermost first. `[]` is a 0-d tensor. */
export type Shape = readonly number[];

/** Largest number of dimensions that the strided kernels take after merging of contiguous ones. */
export const MAX_RANK = 8;

/** Number of elements. */
export function numel(shape: Shape): number {
  let count = 1;
  for (const size of shape) count *= size;
  return count;
}

/** Row-major strides, in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = step;
    step *= shape[i]!;
  }
  return strides;
}

/** True if the elements lie in row-major order without gaps (dimensions of size 1 may have any stride). */
export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== step) return false;
    step *= shape[i]!;
  }
  return true;
}

/** `[16, 64, 768]` as text. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** `dim` counted from the front; throws `ShapeError` if it is outside `[-rank, rank)`. */
export function normalizeDim(op: string, dim: number, rank: number): number {
  const bound = Math.max(rank, 1);
  if (!Number.isInteger(dim) || dim < -bound || dim >= bound) {
    throw new ShapeError(
      `${op}: dim ${dim} is out of range for ${rank} dimensions (expected ${-bound} to ${bound - 1}).`,
    );
  }
  return dim < 0 ? dim + bound : dim;
}

/** Several dims counted from the front, sorted; `null` means all. Throws `ShapeError` on a repeated one. */
export function normalizeDims(
  op: string,
  dim: number | readonly number[] | null | undefined,
  rank: number,
): number[] {
  if (dim === null || dim === undefined) return Array.from({ length: rank }, (_, i) => i);
  const dims = (typeof dim === "number" ? [dim] : [...dim]).map((d) => normalizeDim(op, d, rank));
  if (new Set(dims).size !== dims.length)
    throw new ShapeError(`${op}: a dim appears twice in [${dims.join(", ")}].`);
  return rank === 0 ? [] : dims.sort((a, b) => a - b);
}

/** The shape two shapes broadcast to, by NumPy's rules; throws `ShapeError` naming the sizes that differ. */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  const out = new Array<number>(rank);
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(
        `${op}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast (${x} ≠ ${y} in dimension ${i - rank}). ` +
          "Sizes must be equal or 1, counted from the last dimension.",
      );
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** Strides that read `shape` as if it had the (broadcast) shape `target`: repeated dimensions get stride 0. */
export function broadcastStrides(shape: Shape, strides: readonly number[], target: Shape): number[] {
  const lead = target.length - shape.length;
  return target.map((size, i) =>
    i < lead || (shape[i - lead] === 1 && size !== 1) ? 0 : strides[i - lead]!,
  );
}

/** Sizes with at most one -1 filled in so that the product is `count`; throws `ShapeError` if that cannot be. */
export function inferShape(op: string, shape: Shape, count: number, from: Shape): number[] {
  const unknown = shape.indexOf(-1);
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const bad = () =>
    new ShapeError(
      `${op}: ${formatShape(from)} has ${count} elements and cannot become ${formatShape(shape)}.`,
    );
  if (shape.some((size) => size < -1 || !Number.isInteger(size)) || shape.lastIndexOf(-1) !== unknown)
    throw bad();
  if (unknown < 0) {
    if (known !== count) throw bad();
    return [...shape];
  }
  if (known === 0 || count % known !== 0) throw bad();
  return shape.map((size) => (size === -1 ? count / known : size));
}

/**
 * Merges neighbouring dimensions that every operand steps through evenly, and drops those of size 1, so that strided
 * kernels do fewer divisions an element. Returns the merged shape and one list of strides an operand.
 */
export function mergeDimensions(
  shape: Shape,
  operands: readonly (readonly number[])[],
): { shape: number[]; strides: number[][] } {
  const outShape: number[] = [];
  const outStrides: number[][] = operands.map(() => []);
  for (let i = 0; i < shape.length; i++) {
    const size = shape[i]!;
    if (size === 1) continue;
    const last = outShape.length - 1;
    const joins = last >= 0 && operands.every((strides, o) => outStrides[o]![last] === strides[i]! * size);
    if (joins) {
      outShape[last]! *= size;
      operands.forEach((strides, o) => {
        outStrides[o]![last] = strides[i]!;
      });
    } else {
      outShape.push(size);
      operands.forEach((strides, o) => {
        outStrides[o]!.push(strides[i]!);
      });
    }
  }
  if (outShape.length > MAX_RANK) {
    throw new ShapeError(
      `a strided kernel takes at most ${MAX_RANK} dimensions, ${formatShape(shape)} needs ${outShape.length}. Call .contiguous() first.`,
    );
  }
  return { shape: outShape, strides: outStrides };
}

/**
 * Strides under which a strided tensor can be seen with another shape without a copy, or null if it cannot.
 * As `torch.Tensor.view` decides it.
 */
export function viewStrides(shape: Shape, strides: readonly number[], target: Shape): number[] | null {
  if (numel(shape) === 0) return contiguousStrides(target);
  const merged = mergeDimensions(shape, [strides]);
  const sizes = merged.shape;
  const steps = merged.strides[0]!;
  const out = new Array<number>(target.length).fill(1);
  let t = target.length - 1;
  for (let i = sizes.length - 1; i >= 0; i--) {
    let rest = sizes[i]!;
    let step = steps[i]!;
    while (t >= 0 && rest > 1) {
      const size = target[t]!;
      if (size !== 1) {
        if (rest % size !== 0) return null;
        out[t] = step;
        step *= size;
        rest /= size;
      }
      t--;
    }
    if (rest !== 1) return null;
  }
  return out;
}
