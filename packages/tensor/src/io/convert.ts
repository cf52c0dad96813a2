/**
 * Numbers out of tensors' bytes and back: half types to float32 and back with round-to-nearest-even, 64-bit integers to
 * 32 and back with a check. Everything is little-endian, as every machine that runs WebGPU is.
 */
import { elementCount, type SafetensorsDtype } from "./dtypes.js";
import { SafetensorsError } from "./errors.js";
import type { TensorView } from "./safetensors.js";

/** Bytes as another element type: a view if they lie aligned, else a copy. */
function reinterpret<T>(
  bytes: Uint8Array,
  array: { new (buffer: ArrayBufferLike, byteOffset: number, length: number): T; BYTES_PER_ELEMENT: number },
): T {
  const size = array.BYTES_PER_ELEMENT;
  const aligned = bytes.byteOffset % size === 0 ? bytes : bytes.slice();
  return new array(aligned.buffer, aligned.byteOffset, Math.floor(aligned.byteLength / size));
}

/** The bytes of a typed array, not copied. */
export function bytesOf(array: ArrayBufferView): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

let halfTable: Uint32Array | undefined;

/** float32 bits of each of the 65,536 halfs: the fastest way in JavaScript, 256 KiB, made on first use. */
function halfToFloatBits(): Uint32Array {
  if (halfTable !== undefined) return halfTable;
  const table = new Uint32Array(65536);
  const scratch = new Float32Array(1);
  const scratchBits = new Uint32Array(scratch.buffer);
  for (let half = 0; half < 65536; half++) {
    const sign = (half & 0x8000) << 16;
    const exponent = (half >>> 10) & 31;
    const mantissa = half & 0x3ff;
    if (exponent === 31) table[half] = sign | 0x7f800000 | (mantissa << 13);
    else if (exponent > 0) table[half] = sign | ((exponent + 112) << 23) | (mantissa << 13);
    else {
      scratch[0] = mantissa * 2 ** -24;
      table[half] = sign | scratchBits[0]!;
    }
  }
  halfTable = table;
  return table;
}

/**
 * Any float tensor as float32. F32 is not copied where it lies aligned: do not write into the result.
 * @returns As many numbers as the tensor has. F64 is rounded once; subnormals, infinities and NaN are kept.
 * @throws SafetensorsError `E_SAFETENSORS_DTYPE` for integers and bool.
 */
export function toFloat32(view: TensorView): Float32Array {
  if (view.dtype === "F32") return reinterpret(view.bytes, Float32Array);
  if (view.dtype === "F64") return new Float32Array(reinterpret(view.bytes, Float64Array));
  if (view.dtype !== "F16" && view.dtype !== "BF16") {
    throw new SafetensorsError(
      "E_SAFETENSORS_DTYPE",
      `[${view.shape.join(", ")}] of ${view.dtype} is not a float tensor. Read integers with toInt32.`,
    );
  }
  const source = reinterpret(view.bytes, Uint16Array);
  const bits = new Uint32Array(source.length);
  if (view.dtype === "F16") {
    const table = halfToFloatBits();
    for (let i = 0; i < source.length; i++) bits[i] = table[source[i]!]!;
  } else {
    for (let i = 0; i < source.length; i++) bits[i] = source[i]! << 16;
  }
  return new Float32Array(bits.buffer);
}

const f32Scratch = new Float32Array(1);
const f32ScratchBits = new Uint32Array(f32Scratch.buffer);

/** float32 bits to half bits, to nearest, ties to even; too large becomes infinity, NaN stays NaN. */
function toHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude >= 0x47800000) {
    if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x3ff);
    return sign | 0x7c00;
  }
  if (magnitude < 0x38800000) {
    // Subnormal half: adding 0.5 lets the float unit shift the mantissa and round it to even.
    f32ScratchBits[0] = magnitude;
    f32Scratch[0] = f32Scratch[0]! + 0.5;
    return sign | (f32ScratchBits[0]! - 0x3f000000);
  }
  // Rounding may carry into the exponent, up to infinity, which is right.
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

/**
 * float32 to a float type of a file, rounding to nearest, ties to even, as PyTorch does.
 * @returns Little-endian bytes for `TensorView.bytes`. For F32 a view of `values`, not a copy.
 */
export function fromFloat32(values: Float32Array, dtype: "F32" | "F16" | "BF16" | "F64"): Uint8Array {
  if (dtype === "F32") return bytesOf(values);
  if (dtype === "F64") return bytesOf(new Float64Array(values));
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const out = new Uint16Array(values.length);
  if (dtype === "F16") {
    for (let i = 0; i < bits.length; i++) out[i] = toHalf(bits[i]!);
  } else {
    for (let i = 0; i < bits.length; i++) {
      const b = bits[i]!;
      // Adding half a unit would carry some NaN into infinity, so NaN takes its own way.
      if ((b & 0x7fffffff) > 0x7f800000) out[i] = (b >>> 16) | 0x40;
      else out[i] = (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
    }
  }
  return bytesOf(out);
}

/**
 * Any integer or bool tensor as int32.
 * @throws SafetensorsError `E_SAFETENSORS_RANGE`, naming the value and its place, if one does not fit;
 *   `E_SAFETENSORS_DTYPE` for floats.
 */
export function toInt32(view: TensorView): Int32Array {
  switch (view.dtype) {
    case "I32":
      return reinterpret(view.bytes, Int32Array);
    case "I16":
      return new Int32Array(reinterpret(view.bytes, Int16Array));
    case "U16":
      return new Int32Array(reinterpret(view.bytes, Uint16Array));
    case "I8":
      return new Int32Array(reinterpret(view.bytes, Int8Array));
    case "U8":
    case "BOOL":
      return new Int32Array(view.bytes);
    case "U32": {
      const values = reinterpret(view.bytes, Uint32Array);
      for (let i = 0; i < values.length; i++)
        if (values[i]! > 0x7fffffff) throw outOfRange(view.dtype, values[i]!, i);
      return new Int32Array(values);
    }
    case "I64":
    case "U64": {
      // Two int32 an element: the upper must be the sign of the lower (for U64, the same test within int32's range).
      const halves = reinterpret(view.bytes, Int32Array);
      const out = new Int32Array(halves.length / 2);
      for (let i = 0; i < out.length; i++) {
        const low = halves[2 * i]!;
        if (halves[2 * i + 1] !== low >> 31 || (view.dtype === "U64" && low < 0)) {
          const bits = (BigInt(halves[2 * i + 1]!) << 32n) | BigInt(low >>> 0);
          throw outOfRange(view.dtype, view.dtype === "I64" ? bits : BigInt.asUintN(64, bits), i);
        }
        out[i] = low;
      }
      return out;
    }
    default:
      throw new SafetensorsError(
        "E_SAFETENSORS_DTYPE",
        `[${view.shape.join(", ")}] of ${view.dtype} is not an integer tensor. Read floats with toFloat32.`,
      );
  }
}

function outOfRange(dtype: SafetensorsDtype, value: number | bigint, index: number): SafetensorsError {
  return new SafetensorsError(
    "E_SAFETENSORS_RANGE",
    `element ${index} of ${dtype} is ${value}, outside int32 (-2147483648 to 2147483647). Keep such values as ${dtype}.`,
  );
}

/** int32 as the bytes of an I64 tensor, the type in which PyTorch keeps ids. */
export function fromInt32(values: Int32Array, dtype: "I32" | "I64" = "I64"): Uint8Array {
  if (dtype === "I32") return bytesOf(values);
  const halves = new Int32Array(values.length * 2);
  for (let i = 0; i < values.length; i++) {
    halves[2 * i] = values[i]!;
    halves[2 * i + 1] = values[i]! >> 31;
  }
  return bytesOf(halves);
}

/** A float32 array as a tensor to be written, converted to `dtype`. */
export function float32View(
  values: Float32Array,
  shape: readonly number[],
  dtype: "F32" | "F16" | "BF16" | "F64" = "F32",
): TensorView {
  if (elementCount(shape) !== values.length) {
    throw new SafetensorsError(
      "E_SAFETENSORS_LENGTH",
      `shape [${shape.join(", ")}] has ${elementCount(shape)} elements, the array has ${values.length}.`,
    );
  }
  return { dtype, shape, bytes: fromFloat32(values, dtype) };
}
