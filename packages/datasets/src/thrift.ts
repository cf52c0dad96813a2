/**
 * Thrift's compact protocol, as far as a Parquet footer needs it: read into plain values and written back, so that a
 * footer can be cut down to one row group and one column without knowing every field of the format.
 * Source: apache/thrift doc/specs/thrift-compact-protocol.md.
 */
export const ThriftType = {
  true: 1,
  false: 2,
  byte: 3,
  i16: 4,
  i32: 5,
  i64: 6,
  double: 7,
  binary: 8,
  list: 9,
  set: 10,
  map: 11,
  struct: 12,
} as const;

/** Fields by id. Whole numbers are JavaScript numbers: exact below 2^53, and no offset or count of a file is larger. */
export type ThriftStruct = Map<number, ThriftField>;
export interface ThriftField {
  type: number;
  value: ThriftValue;
}
export interface ThriftList {
  elementType: number;
  values: ThriftValue[];
}
export type ThriftValue = boolean | number | Uint8Array | ThriftList | ThriftStruct;

const MAX_DEPTH = 64;

/** Reads one struct from the start of `bytes`; throws a RangeError if they end early or make no sense. */
export function readThrift(bytes: Uint8Array): ThriftStruct {
  return readThriftHead(bytes).struct;
}

/** The same, with the number of bytes that the struct takes: what follows it is something else. */
export function readThriftHead(bytes: Uint8Array): { struct: ThriftStruct; length: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;

  const byte = (): number => {
    if (at >= bytes.length) throw new RangeError(`the footer ends early, at byte ${at}`);
    return bytes[at++]!;
  };
  const unsigned = (): number => {
    let value = 0;
    let scale = 1;
    for (let n = 0; n < 10; n++) {
      const next = byte();
      value += (next & 0x7f) * scale;
      if (next < 0x80) return value;
      scale *= 128;
    }
    throw new RangeError(`a number in the footer has no end, near byte ${at}`);
  };
  const signed = (): number => {
    const n = unsigned();
    return n % 2 === 0 ? n / 2 : -(n + 1) / 2;
  };
  const count = (n: number): number => {
    if (n > bytes.length) throw new RangeError(`the footer counts ${n} elements in ${bytes.length} bytes`);
    return n;
  };
  const readValue = (type: number, depth: number): ThriftValue => {
    if (depth > MAX_DEPTH) throw new RangeError(`the footer nests deeper than ${MAX_DEPTH} levels`);
    switch (type) {
      case ThriftType.true:
      case ThriftType.false:
        return byte() === 1;
      case ThriftType.byte:
        return (byte() << 24) >> 24;
      case ThriftType.i16:
      case ThriftType.i32:
      case ThriftType.i64:
        return signed();
      case ThriftType.double: {
        if (at + 8 > bytes.length) throw new RangeError("the footer ends early, in a number");
        at += 8;
        return view.getFloat64(at - 8, true);
      }
      case ThriftType.binary: {
        const length = count(unsigned());
        if (at + length > bytes.length) throw new RangeError("the footer ends early, in a string");
        at += length;
        return bytes.subarray(at - length, at);
      }
      case ThriftType.list:
      case ThriftType.set: {
        const head = byte();
        const elementType = head & 0x0f;
        const length = count(head >> 4 === 15 ? unsigned() : head >> 4);
        const values: ThriftValue[] = [];
        for (let i = 0; i < length; i++) values.push(readValue(elementType, depth + 1));
        return { elementType, values };
      }
      case ThriftType.struct:
        return readStruct(depth + 1);
      default:
        throw new RangeError(`the footer holds a field of unknown type ${type}, near byte ${at}`);
    }
  };
  const readStruct = (depth: number): ThriftStruct => {
    const fields: ThriftStruct = new Map();
    let id = 0;
    for (;;) {
      const head = byte();
      if (head === 0) return fields;
      const type = head & 0x0f;
      id = head >> 4 === 0 ? signed() : id + (head >> 4);
      const isBoolean = type === ThriftType.true || type === ThriftType.false;
      fields.set(id, { type, value: isBoolean ? type === ThriftType.true : readValue(type, depth) });
    }
  };
  const struct = readStruct(0);
  return { struct, length: at };
}

/** The bytes of one struct. */
export function writeThrift(struct: ThriftStruct): Uint8Array {
  const out: number[] = [];
  const unsigned = (n: number): void => {
    let rest = n;
    while (rest >= 128) {
      out.push((rest % 128) | 0x80);
      rest = Math.floor(rest / 128);
    }
    out.push(rest);
  };
  const signed = (n: number): void => unsigned(n >= 0 ? n * 2 : -n * 2 - 1);
  const writeValue = (type: number, value: ThriftValue): void => {
    if (value instanceof Uint8Array) {
      unsigned(value.length);
      for (const b of value) out.push(b);
    } else if (value instanceof Map) {
      writeStruct(value);
    } else if (typeof value === "object") {
      const length = value.values.length;
      out.push((Math.min(length, 15) << 4) | value.elementType);
      if (length >= 15) unsigned(length);
      for (const element of value.values) writeValue(value.elementType, element);
    } else if (typeof value === "boolean") {
      out.push(value ? 1 : 2);
    } else if (type === ThriftType.double) {
      out.push(...new Uint8Array(new Float64Array([value]).buffer));
    } else if (type === ThriftType.byte) {
      out.push(value & 0xff);
    } else {
      signed(value);
    }
  };
  const writeStruct = (fields: ThriftStruct): void => {
    let previous = 0;
    for (const [id, field] of [...fields].sort((a, b) => a[0] - b[0])) {
      const isBoolean = typeof field.value === "boolean";
      const type = isBoolean ? (field.value ? ThriftType.true : ThriftType.false) : field.type;
      const delta = id - previous;
      if (delta > 0 && delta <= 15) out.push((delta << 4) | type);
      else {
        out.push(type);
        signed(id);
      }
      if (!isBoolean) writeValue(type, field.value);
      previous = id;
    }
    out.push(0);
  };
  writeStruct(struct);
  return Uint8Array.from(out);
}
