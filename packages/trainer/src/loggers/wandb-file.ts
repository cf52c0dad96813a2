import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { crc32 } from "./checksums.js";
import { ProtoMessage } from "./protobuf.js";

/** What a run is called, and what it was started with. */
export interface WandbRunInfo {
  id: string;
  project: string;
  /** Empty: the one who uploads it. */
  entity: string;
  /** Empty: W&B finds one. */
  displayName: string;
  config: Readonly<Record<string, unknown>>;
}

// Field numbers are those of W&B's wandb_internal.proto.
const RECORD = { num: 1, history: 2, summary: 3, run: 17, exit: 18, header: 21 };
const RUN = { id: 1, entity: 2, project: 3, config: 4, displayName: 8, host: 13, startTime: 17 };
const UPDATE = 1;
const ITEM = { key: 1, nestedKey: 2, valueJson: 16 };
/** First release of W&B that reads such a file; written by every client. */
const MIN_CONSUMER = "0.70.0";

const BLOCK = 32_768;
const HEAD = 7;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/**
 * Writes the file `run-<id>.wandb` that W&B's own client keeps of a run, and that `wandb sync` uploads: LevelDB's log format with
 * W&B's records. What a call writes is in the file when it returns.
 */
export class WandbRunFile {
  readonly file: string;
  readonly #began = Date.now();
  #descriptor: number | null;
  /** Bytes written. */
  #position: number;
  #records = 0;
  #logged = 0;

  /** @throws the file system's error where the file cannot be made */
  constructor(file: string, run: WandbRunInfo) {
    this.file = file;
    mkdirSync(dirname(file), { recursive: true });
    this.#descriptor = openSync(file, "ax");
    // ":W&B", a magic number, the format's version.
    const head = Uint8Array.of(0x3a, 0x57, 0x26, 0x42, 0xe1, 0xbe, 0);
    appendFileSync(this.#descriptor, head);
    this.#position = head.length;
    const version = new ProtoMessage().string(1, "wgrad").string(2, MIN_CONSUMER);
    this.#record(RECORD.header, new ProtoMessage().message(1, version));
    const config = new ProtoMessage();
    for (const [key, value] of Object.entries(run.config)) config.message(UPDATE, item(ITEM.key, key, value));
    const start = new ProtoMessage()
      .varint(1, Math.floor(this.#began / 1000))
      .varint(2, (this.#began % 1000) * 1e6);
    const record = new ProtoMessage().string(RUN.id, run.id);
    if (run.entity) record.string(RUN.entity, run.entity);
    record.string(RUN.project, run.project).message(RUN.config, config);
    if (run.displayName) record.string(RUN.displayName, run.displayName);
    this.#record(RECORD.run, record.string(RUN.host, hostname()).message(RUN.startTime, start));
  }

  /** Adds a row of the history; the summary holds the last value of each name. */
  log(values: Readonly<Record<string, number>>): void {
    const now = Date.now();
    const row = {
      ...values,
      _timestamp: now / 1000,
      _runtime: (now - this.#began) / 1000,
      _step: this.#logged,
    };
    const summary = new ProtoMessage();
    const history = new ProtoMessage();
    for (const [key, value] of Object.entries(row)) {
      summary.message(UPDATE, item(ITEM.nestedKey, key, value));
      history.message(UPDATE, item(ITEM.nestedKey, key, value));
    }
    history.message(2, new ProtoMessage().varint(1, this.#logged));
    this.#logged += 1;
    this.#record(RECORD.summary, summary);
    this.#record(RECORD.history, history);
  }

  /** Ends the run and the file. */
  finish(exitCode = 0): void {
    if (this.#descriptor === null) return;
    const seconds = Math.round((Date.now() - this.#began) / 1000);
    this.#record(RECORD.exit, new ProtoMessage().varint(1, exitCode).varint(2, seconds));
    fsyncSync(this.#descriptor);
    closeSync(this.#descriptor);
    this.#descriptor = null;
  }

  #record(field: number, content: ProtoMessage): void {
    if (this.#descriptor === null) return;
    this.#records += 1;
    const bytes = new ProtoMessage().varint(RECORD.num, this.#records).message(field, content).finish();
    appendFileSync(this.#descriptor, this.#frame(bytes));
  }

  /** Cuts a record into pieces that end with a block of 32 KiB, each with checksum, length and kind. */
  #frame(record: Uint8Array): Uint8Array {
    const pieces: Uint8Array[] = [];
    let begin = 0;
    let isFirst = true;
    do {
      let room = BLOCK - (this.#position % BLOCK);
      if (room < HEAD) {
        pieces.push(new Uint8Array(room));
        this.#position += room;
        room = BLOCK;
      }
      const data = record.subarray(begin, begin + room - HEAD);
      const ends = begin + data.length === record.length;
      const kind = isFirst ? (ends ? FULL : FIRST) : ends ? LAST : MIDDLE;
      const head = new DataView(new ArrayBuffer(HEAD));
      head.setUint32(0, crc32(Uint8Array.of(kind), data), true);
      head.setUint16(4, data.length, true);
      head.setUint8(6, kind);
      pieces.push(new Uint8Array(head.buffer), data);
      this.#position += HEAD + data.length;
      begin += data.length;
      isFirst = false;
    } while (begin < record.length);
    return Buffer.concat(pieces);
  }
}

function item(field: number, key: string, value: unknown): ProtoMessage {
  return new ProtoMessage().string(field, key).string(ITEM.valueJson, jsonOf(value));
}

/** JSON, with the words that W&B reads for the numbers that JSON has none for. */
function jsonOf(value: unknown): string {
  if (typeof value === "number" && !Number.isFinite(value))
    return Number.isNaN(value) ? '"NaN"' : value > 0 ? '"Infinity"' : '"-Infinity"';
  return JSON.stringify(value ?? null);
}
