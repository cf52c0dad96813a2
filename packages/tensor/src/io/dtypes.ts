/**
 * Element types of the safetensors format that are read and written here, in the reference's own order
 * (`safetensors/src/tensor.rs`, enum `Dtype`): its writer puts later types first, so that every tensor lies aligned.
 */
export const safetensorsDtypes = [
  "BOOL",
  "U8",
  "I8",
  "I16",
  "U16",
  "F16",
  "BF16",
  "I32",
  "U32",
  "F32",
  "F64",
  "I64",
  "U64",
] as const;

/** Name of an element type as it stands in a safetensors header. */
export type SafetensorsDtype = (typeof safetensorsDtypes)[number];

const sizes: Record<SafetensorsDtype, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  F64: 8,
  I64: 8,
  U64: 8,
};

/** Bytes of one element. */
export function safetensorsDtypeSize(dtype: SafetensorsDtype): number {
  return sizes[dtype];
}

/** Whether `name` is an element type that is read and written here. */
export function isSafetensorsDtype(name: unknown): name is SafetensorsDtype {
  return typeof name === "string" && Object.hasOwn(sizes, name);
}

/** Number of elements of a shape; 1 for the shape `[]` of a scalar. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}
