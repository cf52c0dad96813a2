import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { TrainerError } from "../errors.js";
import { crc32c } from "./checksums.js";
import { histogramOf } from "./histogram.js";
import { ProtoMessage } from "./protobuf.js";

/** How a `SummaryWriter` begins. */
export interface SummaryWriterOptions {
  /** TensorBoard drops what earlier files of the folder hold from this step on: where a run goes on after a checkpoint. */
  purgeStep?: number;
  /** Behind the file's name. */
  filenameSuffix?: string;
}

// Field numbers are those of TensorFlow's event.proto, summary.proto and tensor.proto.
const EVENT = { wallTime: 1, step: 2, fileVersion: 3, summary: 5, sessionLog: 7 };
const VALUE = { tag: 1, simpleValue: 2, image: 4, histogram: 5, tensor: 8, metadata: 9 };
const SESSION_START = 1;
const DT_STRING = 7;
const PNG_SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const EVENT_FILE = /^events\.out\.tfevents\.(\d+)\./;

let written = 0;

/**
 * Writes an event file that TensorBoard reads, as `torch.utils.tensorboard.SummaryWriter`: a new file in the folder for each
 * writer. An event is in the file when its call returns, whole, so that TensorBoard can follow a run that goes on, and a process that
 * is killed loses none.
 */
export class SummaryWriter {
  readonly logDir: string;
  /** Path of the event file. */
  readonly file: string;
  #descriptor: number | null;

  /** @throws the file system's error where the folder or the file cannot be made */
  constructor(logDir: string, options: SummaryWriterOptions = {}) {
    this.logDir = logDir;
    mkdirSync(logDir, { recursive: true });
    // TensorBoard reads a folder's files in the order of their names, so a later one must not sort before.
    const seconds = Math.max(Math.floor(Date.now() / 1000), latestEventFile(logDir) + 1);
    const time = String(seconds).padStart(10, "0");
    const name = `events.out.tfevents.${time}.${hostname()}.${process.pid}.${written++}${options.filenameSuffix ?? ""}`;
    this.file = join(logDir, name);
    this.#descriptor = openSync(this.file, "ax");
    const { purgeStep } = options;
    this.#write(new ProtoMessage().string(EVENT.fileVersion, "brain.Event:2"), purgeStep ?? 0);
    if (purgeStep === undefined) return;
    const start = new ProtoMessage().varint(1, SESSION_START);
    this.#write(new ProtoMessage().message(EVENT.sessionLog, start), purgeStep);
  }

  /** @param globalStep optimizer steps made */
  addScalar(tag: string, value: number, globalStep: number): void {
    this.#summary(new ProtoMessage().string(VALUE.tag, tag).float(VALUE.simpleValue, value), globalStep);
  }

  /** A text for TensorBoard's text plugin, which shows Markdown; found there as `<tag>/text_summary`. */
  addText(tag: string, text: string, globalStep = 0): void {
    const plugin = new ProtoMessage().string(1, "text");
    const shape = new ProtoMessage().message(2, new ProtoMessage().varint(1, 1));
    const tensor = new ProtoMessage().varint(1, DT_STRING).message(2, shape).string(8, text);
    this.#summary(
      new ProtoMessage()
        .string(VALUE.tag, `${tag}/text_summary`)
        .message(VALUE.tensor, tensor)
        .message(VALUE.metadata, new ProtoMessage().message(1, plugin)),
      globalStep,
    );
  }

  /** Counts of values in buckets; NaN and infinities are left out. */
  addHistogram(tag: string, values: ArrayLike<number>, globalStep: number): void {
    const { min, max, num, sum, sumSquares, bucketLimit, bucket } = histogramOf(values);
    const histogram = new ProtoMessage()
      .double(1, min)
      .double(2, max)
      .double(3, num)
      .double(4, sum)
      .double(5, sumSquares)
      .doubles(6, bucketLimit)
      .doubles(7, bucket);
    this.#summary(new ProtoMessage().string(VALUE.tag, tag).message(VALUE.histogram, histogram), globalStep);
  }

  /**
   * An image.
   * @param png a PNG file's bytes
   * @throws TrainerError `E_DATA` for other bytes
   */
  addImage(tag: string, png: Uint8Array, globalStep: number): void {
    if (png.length < 26 || PNG_SIGNATURE.some((byte, i) => png[i] !== byte)) {
      throw new TrainerError(
        "E_DATA",
        `addImage "${tag}": the ${png.length} bytes are no PNG file. Encode the picture first, for example with sharp(…).png().toBuffer().`,
      );
    }
    // The first chunk, IHDR: width, height, bits, colour type. TensorBoard counts channels: grey 1, grey and alpha 2, …
    const header = new DataView(png.buffer, png.byteOffset, png.byteLength);
    const channels: Record<number, number> = { 0: 1, 2: 3, 3: 3, 4: 2, 6: 4 };
    const image = new ProtoMessage()
      .varint(1, header.getUint32(20))
      .varint(2, header.getUint32(16))
      .varint(3, channels[header.getUint8(25)] ?? 3)
      .bytes(4, png);
    this.#summary(new ProtoMessage().string(VALUE.tag, tag).message(VALUE.image, image), globalStep);
  }

  /** Waits until the disk has everything. */
  flush(): void {
    if (this.#descriptor !== null) fsyncSync(this.#descriptor);
  }

  /** Ends the file; a second call does nothing. */
  close(): void {
    if (this.#descriptor === null) return;
    this.flush();
    closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #summary(value: ProtoMessage, step: number): void {
    this.#write(new ProtoMessage().message(EVENT.summary, new ProtoMessage().message(1, value)), step);
  }

  /** Writes an event, given what it holds beside time and step. */
  #write(content: ProtoMessage, step: number): void {
    if (this.#descriptor === null)
      throw new TrainerError("E_ARG_VALUE", `SummaryWriter: ${this.file} is closed.`);
    const head = new ProtoMessage().double(EVENT.wallTime, Date.now() / 1000).varint(EVENT.step, step);
    appendFileSync(this.#descriptor, tfRecord(Buffer.concat([head.finish(), content.finish()])));
  }
}

/** Whether a folder holds event files. */
export function hasEventFiles(folder: string): boolean {
  return latestEventFile(folder) > 0;
}

/** Seconds in the name of the latest event file of a folder; 0 where there is none. */
function latestEventFile(folder: string): number {
  let names: string[] = [];
  try {
    names = readdirSync(folder);
  } catch {
    // No folder: no files.
  }
  return Math.max(0, ...names.map((name) => Number(EVENT_FILE.exec(name)?.[1] ?? 0)));
}

/** A record of TensorFlow's TFRecord format: length, its checksum, the bytes, their checksum. Little endian. */
export function tfRecord(data: Uint8Array): Uint8Array {
  const record = new Uint8Array(data.length + 16);
  const view = new DataView(record.buffer);
  view.setBigUint64(0, BigInt(data.length), true);
  view.setUint32(8, maskedCrc32c(record.subarray(0, 8)), true);
  record.set(data, 12);
  view.setUint32(12 + data.length, maskedCrc32c(data), true);
  return record;
}

/** CRC-32C, rotated and shifted: the checksum of bytes that hold checksums should not be special. */
function maskedCrc32c(data: Uint8Array): number {
  const crc = crc32c(data);
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
}
