/** As much of Protocol Buffers' wire format as event files need: writing, field by field. */

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

const utf8 = new TextEncoder();

/** A message under construction. Fields are written in the order of the calls; each call returns the message. */
export class ProtoMessage {
  #bytes = new Uint8Array(64);
  #length = 0;

  /** int64, uint64, enum or bool. @param value a whole number; negative ones take ten bytes, as int64 does */
  varint(field: number, value: number | bigint | boolean): this {
    this.#key(field, VARINT);
    return this.#varint(BigInt.asUintN(64, BigInt(value)));
  }

  double(field: number, value: number): this {
    this.#key(field, FIXED64);
    this.#view(8).setFloat64(0, value, true);
    return this;
  }

  float(field: number, value: number): this {
    this.#key(field, FIXED32);
    this.#view(4).setFloat32(0, value, true);
    return this;
  }

  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }

  bytes(field: number, value: Uint8Array): this {
    this.#key(field, LENGTH_DELIMITED);
    this.#varint(BigInt(value.length));
    this.#take(value.length).set(value);
    return this;
  }

  message(field: number, value: ProtoMessage): this {
    return this.bytes(field, value.finish());
  }

  /** A repeated double, packed. */
  doubles(field: number, values: ArrayLike<number>): this {
    this.#key(field, LENGTH_DELIMITED);
    this.#varint(BigInt(values.length * 8));
    const view = this.#view(values.length * 8);
    for (let i = 0; i < values.length; i++) view.setFloat64(i * 8, values[i]!, true);
    return this;
  }

  /** The bytes so far: a view that the next call may overwrite. */
  finish(): Uint8Array {
    return this.#bytes.subarray(0, this.#length);
  }

  #key(field: number, wireType: number): void {
    this.#varint(BigInt((field << 3) | wireType));
  }

  #varint(value: bigint): this {
    let rest = value;
    while (rest > 127n) {
      this.#take(1)[0] = Number(rest & 127n) | 128;
      rest >>= 7n;
    }
    this.#take(1)[0] = Number(rest);
    return this;
  }

  #view(count: number): DataView {
    const place = this.#take(count);
    return new DataView(place.buffer, place.byteOffset, count);
  }

  /** Room for `count` more bytes. */
  #take(count: number): Uint8Array {
    const end = this.#length + count;
    if (end > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(end, this.#bytes.length * 2));
      larger.set(this.#bytes);
      this.#bytes = larger;
    }
    const place = this.#bytes.subarray(this.#length, end);
    this.#length = end;
    return place;
  }
}
