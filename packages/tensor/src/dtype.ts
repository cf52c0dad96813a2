import { DtypeError } from "./errors.js";

/** Element types of a tensor. `bool` is stored as one u32 (0 or 1) an element, since WGSL has no storable bool. */
export type Dtype = "f32" | "f16" | "i32" | "u32" | "bool";

/** Typed arrays that a tensor can be made from and read back as. f16 is read back as `Float32Array`. */
export type TypedArray = Float32Array | Int32Array | Uint32Array | Uint8Array;

/** Bytes of one stored element. */
export function bytesPerElement(dtype: Dtype): number {
  return dtype === "f16" ? 2 : 4;
}

/** The WGSL type in which `dtype` is stored. */
export function storageType(dtype: Dtype): "f32" | "f16" | "i32" | "u32" {
  return dtype === "bool" ? "u32" : dtype;
}

/** True for f32 and f16, the types that carry gradients. */
export function isFloating(dtype: Dtype): boolean {
  return dtype === "f32" || dtype === "f16";
}

/** The type two operands meet in, as in `torch.promote_types`: bool < u32 < i32 < f16 < f32. */
export function promoteTypes(a: Dtype, b: Dtype): Dtype {
  const order: Dtype[] = ["bool", "u32", "i32", "f16", "f32"];
  return order[Math.max(order.indexOf(a), order.indexOf(b))]!;
}

/** Throws `DtypeError` unless `dtype` is one of `allowed`. */
export function expectDtype(op: string, argument: string, dtype: Dtype, allowed: readonly Dtype[]): void {
  if (!allowed.includes(dtype)) {
    throw new DtypeError(
      `${op}: ${argument} is ${dtype}, expected ${allowed.join(" or ")}. Convert it with .to("${allowed[0]}").`,
    );
  }
}

const scratch = new DataView(new ArrayBuffer(4));

/** One f32 number to IEEE half bits, rounding to nearest, ties to even. */
export function toHalfBits(value: number): number {
  scratch.setFloat32(0, value);
  const bits = scratch.getUint32(0);
  const sign = (bits >>> 16) & 0x8000;
  const exponent = (bits >>> 23) & 0xff;
  let mantissa = bits & 0x7fffff;
  if (exponent === 0xff) return sign | 0x7c00 | (mantissa ? 0x200 : 0);
  const shifted = exponent - 127 + 15;
  if (shifted >= 0x1f) return sign | 0x7c00;
  if (shifted <= 0) {
    if (shifted < -10) return sign;
    mantissa |= 0x800000;
    const shift = 14 - shifted;
    const half = mantissa >>> shift;
    const rest = mantissa & ((1 << shift) - 1);
    const tie = 1 << (shift - 1);
    return sign | (rest > tie || (rest === tie && half & 1) ? half + 1 : half);
  }
  const half = (shifted << 10) | (mantissa >>> 13);
  const rest = mantissa & 0x1fff;
  return sign | (rest > 0x1000 || (rest === 0x1000 && half & 1) ? half + 1 : half);
}

/** IEEE half bits to a number. */
export function fromHalfBits(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 0x1f) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}
