/** Reads event files and W&B's files in tests, as their own programs do: checksums checked, purged events left out. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { crc32, crc32c } from "../loggers/checksums.js";

/** Field number → values: numbers, or bytes where the field is delimited by its length. */
type Fields = Map<number, (number | Uint8Array)[]>;

/** One thing that was written. */
export interface ReadEvent {
  step: number;
  tag: string;
  kind: "scalar" | "text" | "histogram" | "image";
  /** A number, a text, the bytes of an image; of a histogram the numbers of fields 1 to 5 and the buckets. */
  value: unknown;
}

/** All events of a folder, without those that a later session purged. */
export function readEvents(folder: string): ReadEvent[] {
  let events: ReadEvent[] = [];
  for (const name of readdirSync(folder).sort()) {
    for (const bytes of tfRecords(readFileSync(join(folder, name)))) {
      const event = decode(bytes);
      const step = number(event, 2) ?? 0;
      if (event.has(7)) events = events.filter((earlier) => earlier.step < step);
      for (const summary of event.get(5) ?? [])
        for (const value of decode(summary as Uint8Array).get(1) ?? [])
          events.push({ step, ...readValue(decode(value as Uint8Array)) });
    }
  }
  return events;
}

function readValue(value: Fields): Omit<ReadEvent, "step"> {
  const tag = text(value, 1)!;
  if (value.has(2)) return { tag, kind: "scalar", value: number(value, 2) };
  if (value.has(4)) return { tag, kind: "image", value: part(value, 4).get(4)![0] };
  if (value.has(8)) return { tag, kind: "text", value: text(part(value, 8), 8) };
  const histogram = part(value, 5);
  const [min, max, num, sum, sumSquares] = [1, 2, 3, 4, 5].map((field) => number(histogram, field));
  return { tag, kind: "histogram", value: { min, max, num, sum, sumSquares } };
}

/** The records of a TFRecord file; a last one that was cut off is left out. */
function* tfRecords(file: Uint8Array): Generator<Uint8Array> {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  for (let at = 0; at + 12 <= file.length; ) {
    const length = Number(view.getBigUint64(at, true));
    if (at + length + 16 > file.length) return;
    const data = file.subarray(at + 12, at + 12 + length);
    for (const [bytes, place] of [
      [file.subarray(at, at + 8), at + 8],
      [data, at + 12 + length],
    ] as const) {
      const crc = crc32c(bytes);
      const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
      if (masked !== view.getUint32(place, true)) throw new Error(`checksum at ${place}`);
    }
    yield data;
    at += length + 16;
  }
}

/** A W&B file: how the run is called, and the rows of its history. */
export function readWandb(path: string): { run: Record<string, unknown>; rows: Record<string, unknown>[] } {
  let run: Record<string, unknown> = {};
  const rows: Record<string, unknown>[] = [];
  const items = (fields: Fields, field: number, key: number) =>
    Object.fromEntries(
      (fields.get(field) ?? []).map((bytes) => {
        const item = decode(bytes as Uint8Array);
        return [text(item, key)!, JSON.parse(text(item, 16)!)];
      }),
    );
  for (const bytes of levelDbRecords(readFileSync(path))) {
    const record = decode(bytes);
    if (record.has(2)) rows.push(items(part(record, 2), 1, 2));
    if (!record.has(17)) continue;
    const fields = part(record, 17);
    run = {
      id: text(fields, 1),
      project: text(fields, 3),
      name: text(fields, 8),
      config: items(part(fields, 4), 1, 1),
    };
  }
  return { run, rows };
}

/** The records of LevelDB's log format, behind W&B's header of 7 bytes. */
export function levelDbRecords(file: Uint8Array): Uint8Array[] {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (view.getUint32(0) !== 0x3a572642 || view.getUint16(4, true) !== 0xbee1) throw new Error("no W&B file");
  const records: Uint8Array[] = [];
  let pieces: Uint8Array[] = [];
  for (let at = 7; at < file.length; ) {
    const room = 32_768 - (at % 32_768);
    if (room < 7) {
      at += room;
      continue;
    }
    const length = view.getUint16(at + 4, true);
    const kind = view.getUint8(at + 6);
    const data = file.subarray(at + 7, at + 7 + length);
    if (crc32(Uint8Array.of(kind), data) !== view.getUint32(at, true)) throw new Error(`checksum at ${at}`);
    if ((kind === 1 || kind === 2) !== (pieces.length === 0))
      throw new Error(`piece of kind ${kind} at ${at}`);
    pieces.push(data);
    at += 7 + length;
    if (kind === 2 || kind === 3) continue;
    records.push(Buffer.concat(pieces));
    pieces = [];
  }
  return records;
}

/** Fields of a protobuf message. */
export function decode(bytes: Uint8Array): Fields {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const fields: Fields = new Map();
  let at = 0;
  const varint = () => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++]!;
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return Number(BigInt.asIntN(64, value));
    }
  };
  while (at < bytes.length) {
    const key = varint();
    let value: number | Uint8Array;
    switch (key & 7) {
      case 0:
        value = varint();
        break;
      case 1:
        value = view.getFloat64(at, true);
        at += 8;
        break;
      case 2: {
        const length = varint();
        value = bytes.subarray(at, at + length);
        at += length;
        break;
      }
      case 5:
        value = view.getFloat32(at, true);
        at += 4;
        break;
      default:
        throw new Error(`wire type ${key & 7}`);
    }
    fields.set(key >> 3, [...(fields.get(key >> 3) ?? []), value]);
  }
  return fields;
}

function number(fields: Fields, field: number): number | undefined {
  return fields.get(field)?.[0] as number | undefined;
}

function text(fields: Fields, field: number): string | undefined {
  const bytes = fields.get(field)?.[0] as Uint8Array | undefined;
  return bytes && new TextDecoder().decode(bytes);
}

function part(fields: Fields, field: number): Fields {
  return decode(fields.get(field)![0] as Uint8Array);
}
