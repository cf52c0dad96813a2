// Files of the loggers, byte for byte. That TensorBoard itself reads them: test/python.test.ts.
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { levelDbRecords, readEvents, readWandb } from "../testing/read-logs.js";
import { crc32, crc32c } from "./checksums.js";
import { histogramOf } from "./histogram.js";
import { rewriteLogs } from "./log-names.js";
import { ProtoMessage } from "./protobuf.js";
import { hasEventFiles, SummaryWriter, tfRecord } from "./summary-writer.js";
import { WandbRunFile } from "./wandb-file.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wgrad-formats-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const ascii = (text: string) => new TextEncoder().encode(text);
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

describe("checksums", () => {
  it("are those of the standards' check value, whole and in parts", () => {
    expect(crc32c(ascii("123456789")).toString(16)).toBe("e3069283");
    expect(crc32(ascii("1234"), ascii("56789")).toString(16)).toBe("cbf43926");
    expect(crc32c()).toBe(0);
  });

  it("a TFRecord is what TensorFlow writes", () => {
    // From tensorboard.summary.writer.record_writer.RecordWriter.
    expect(hex(tfRecord(ascii("abc")))).toBe("0300000000000000b099490e6162636e57f121");
  });
});

describe("ProtoMessage", () => {
  it("writes the bytes of the encoding guide, and grows", () => {
    expect(hex(new ProtoMessage().varint(1, 150).finish())).toBe("089601");
    expect(hex(new ProtoMessage().string(2, "testing").finish())).toBe("120774657374696e67");
    expect(hex(new ProtoMessage().message(3, new ProtoMessage().varint(1, 150)).finish())).toBe("1a03089601");
    expect(hex(new ProtoMessage().varint(1, -1).finish())).toBe("08ffffffffffffffffff01");
    expect(
      hex(
        new ProtoMessage()
          .varint(1, 2 ** 53)
          .varint(20, true)
          .finish(),
      ),
    ).toBe("088080808080808010a00101");
    expect(new ProtoMessage().bytes(1, new Uint8Array(100_000)).finish()).toHaveLength(100_004);
  });
});

describe("histogramOf", () => {
  it("counts every finite value in the bucket that it lies in", () => {
    const values = [0, -0, 1e-13, 1e-12, 1, -1, -1.05, 3, 1e30, -1e30, Number.NaN, Infinity];
    const { bucket, bucketLimit, min, max, num } = histogramOf(values);
    expect({ min, max, num }).toEqual({ min: -1e30, max: 1e30, num: 10 });
    expect(bucket.reduce((total, count) => total + count, 0)).toBe(10);
    for (const value of values.filter(Number.isFinite)) {
      const i = bucketLimit.findIndex((limit) => value < limit || (value === limit && value < 0));
      expect(bucket[i], `${value}`).toBeGreaterThan(0);
    }
    expect(bucketLimit).toEqual([...bucketLimit].sort((a, b) => a - b));
  });

  it("keeps every edge of the buckets on the right side", () => {
    let edge = 1e-12;
    for (let i = 0; i < 700; i++, edge *= 1.1) {
      if (i % 20 > 1) continue;
      const { bucketLimit } = histogramOf([edge]);
      expect(bucketLimit).toHaveLength(2);
      expect(bucketLimit[0]).toBeLessThanOrEqual(edge);
      expect(bucketLimit[1]).toBeGreaterThan(edge);
    }
  });

  it("of no finite value is empty", () => {
    expect(histogramOf([Number.NaN])).toEqual({
      min: 0,
      max: 0,
      num: 0,
      sum: 0,
      sumSquares: 0,
      bucket: [],
      bucketLimit: [],
    });
  });
});

describe("SummaryWriter", () => {
  const png = Buffer.from(
    "iVBORw0KGgoAAAANSUhEUgAAAAIAAAADCAYAAAC56t6BAAAAEUlEQVR4nGP4z8DwH4QZYAwAR8oH+Rq28akAAAAASUVORK5CYII=",
    "base64",
  );

  it("has each event in the file when its call returns, and reads back what it wrote", () => {
    const writer = new SummaryWriter(join(folder, "a/b"));
    const steps = () =>
      readEvents(join(folder, "a/b")).map(({ step, tag, kind }) => `${tag} ${kind} ${step}`);
    writer.addScalar("train/loss", 0.1, 7);
    expect(steps()).toEqual(["train/loss scalar 7"]);
    writer.addText("note", "ä **bold**");
    writer.addImage("cat", png, 8);
    writer.addHistogram("weights/w", [1, 2, 3], 9);
    writer.close();
    writer.close();
    expect(steps()).toEqual([
      "train/loss scalar 7",
      "note/text_summary text 0",
      "cat image 8",
      "weights/w histogram 9",
    ]);
    const events = readEvents(join(folder, "a/b"));
    expect(events.map(({ value }) => value)).toEqual([
      Math.fround(0.1),
      "ä **bold**",
      png,
      { min: 1, max: 3, num: 3, sum: 6, sumSquares: 14 },
    ]);
    expect(() => writer.addScalar("x", 1, 1)).toThrow(/is closed/);
  });

  it("names its files so that they sort by when they were begun, also within a second", () => {
    const writers = Array.from(
      { length: 11 },
      (_, i) => new SummaryWriter(folder, i > 0 ? { purgeStep: i } : {}),
    );
    for (const writer of writers) writer.close();
    expect(readdirSync(folder).sort()).toEqual(writers.map(({ file }) => file.slice(folder.length + 1)));
    expect(readdirSync(folder)[0]).toMatch(/^events\.out\.tfevents\.\d{10}\..+\.\d+\.\d+$/);
    expect([hasEventFiles(folder), hasEventFiles(join(folder, "none"))]).toEqual([true, false]);
  });

  it("a record that was cut off leaves those before it readable, and purging drops later steps", () => {
    const first = new SummaryWriter(folder);
    for (let step = 1; step <= 5; step++) first.addScalar("loss", step, step);
    const bytes = readFileSync(first.file);
    writeFileSync(first.file, bytes.subarray(0, bytes.length - 9));
    const second = new SummaryWriter(folder, { purgeStep: 4 });
    second.addScalar("loss", 40, 4);
    expect(readEvents(folder).map(({ step, value }) => [step, value])).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
      [4, 40],
    ]);
  });

  it("refuses what is no PNG", () => {
    const writer = new SummaryWriter(folder);
    expect(() => writer.addImage("cat", new Uint8Array(40), 1)).toThrow(
      /addImage "cat": the 40 bytes are no PNG file/,
    );
    writer.close();
  });
});

describe("WandbRunFile", () => {
  const run = {
    id: "abcd1234",
    project: "p",
    entity: "",
    displayName: "",
    config: { a: [1, 2], nothing: null },
  };

  it("cuts records at the ends of blocks, wherever they fall", () => {
    const write = (size: number) =>
      new WandbRunFile(join(folder, `${size}.wandb`), { ...run, config: { text: "x".repeat(size) } });
    const around = statSync(write(20_000).file).size - 20_000;
    // The first block ends with, shortly before and shortly after the record of the text.
    const full = 32_768 - around;
    for (let size = full - 12; size < full + 12; size++) {
      const file = write(size);
      file.log({ loss: 1 });
      file.finish();
      const { rows, run: record } = readWandb(file.file);
      expect(rows).toMatchObject([{ loss: 1, _step: 0 }]);
      expect((record.config as { text: string }).text).toHaveLength(size);
      expect(levelDbRecords(readFileSync(file.file))).toHaveLength(5);
    }
  });

  it("numbers its rows, and has words for what JSON has no number for", () => {
    const path = join(folder, "run.wandb");
    const file = new WandbRunFile(path, run);
    file.log({ loss: Number.NaN, scale: Infinity, low: -Infinity });
    file.log({ loss: 2 });
    expect(readWandb(path).rows).toMatchObject([
      { _step: 0, loss: "NaN", scale: "Infinity", low: "-Infinity" },
      { _step: 1, loss: 2 },
    ]);
    expect(readWandb(path).run).toMatchObject({
      id: "abcd1234",
      project: "p",
      config: { a: [1, 2], nothing: null },
    });
  });
});

describe("rewriteLogs", () => {
  it("gives the names of Hugging Face's curves", () => {
    expect(
      rewriteLogs({
        step: 3,
        epoch: 0.5,
        loss: 1,
        eval_loss: 2,
        eval_f1: 3,
        test_accuracy: 4,
        train_runtime: 5,
      }),
    ).toEqual({
      "train/epoch": 0.5,
      "train/loss": 1,
      "eval/loss": 2,
      "eval/f1": 3,
      "test/accuracy": 4,
      "train/train_runtime": 5,
    });
  });
});
