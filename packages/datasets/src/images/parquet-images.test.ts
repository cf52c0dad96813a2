import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Dataset } from "../dataset.js";
import { Image, Value } from "../features.js";
import { loadDataset } from "../load-dataset.js";
import { Generator } from "../random.js";
import { sharedData, temporaryFolder, thrownBy } from "../testing/helpers.js";
import type { EncodedImage } from "./encoded-image.js";

interface Row {
  image: EncodedImage | null;
  id: number;
}
const features = { image: new Image(), id: new Value("int32") };

/** Bytes that no compression makes smaller. */
function noise(seed: number, length: number): Uint8Array {
  const generator = new Generator(seed);
  return Uint8Array.from({ length }, () => generator.nextUint32() & 0xff);
}

const none = new Uint8Array();
const compare = (a: Uint8Array | null | undefined, b: Uint8Array | null | undefined): number =>
  Buffer.compare(a ?? none, b ?? none);

describe("columns of pictures in Parquet", () => {
  const numRows = 2500;
  const pictures: (EncodedImage | null)[] = Array.from({ length: numRows }, (_, i) => {
    if (i % 97 === 5) return null;
    const bytes = i % 89 === 3 ? null : noise(i, 900 + (i % 50));
    return { bytes, path: bytes === null || i % 83 === 7 ? null : `${i}.jpg` };
  });
  const columns = { image: pictures, id: pictures.map((_, i) => i) };
  const written = (folder: string, rowGroupSize: number): string => {
    const path = join(folder, "train.parquet");
    Dataset.fromDict<Row>(columns, features).toParquet(path, { rowGroupSize });
    return path;
  };
  /** As other programs write them: compressed, and in pages with a dictionary. Written as a struct that is then called a picture. */
  const writtenCompressed = (folder: string, rowGroupSize: number): string => {
    const path = join(folder, "train.parquet");
    const struct = { bytes: new Value("binary"), path: new Value("string") };
    Dataset.fromDict(columns, { ...features, image: struct }).toParquet(path, { rowGroupSize });
    const json = JSON.stringify(struct);
    const text = readFileSync(path).toString("latin1");
    expect(text).toContain(json);
    writeFileSync(path, text.replace(json, '{"_type":"Image"}'.padEnd(json.length)), "latin1");
    return path;
  };

  test.each([
    ["plain", numRows, written],
    ["plain", 999, written],
    ["compressed", numRows, writtenCompressed],
  ])("are read a page at a time and hold what was written: %s, %s rows a group", (_, size, write) => {
    const read = Dataset.fromParquet<Row>(write(temporaryFolder(), size));
    expect(read.features).toEqual(features);
    const order = [...read.shuffle({ seed: 1 }).column("id")] as number[];
    for (const i of order.slice(0, 60)) expect(read.at(i)).toEqual({ image: pictures[i], id: i });
    const column = read.column("image") as (EncodedImage | null)[];
    expect(column.map((image) => image?.path)).toEqual(pictures.map((image) => image?.path));
    const differ = column.filter((image, i) => compare(image?.bytes, pictures[i]?.bytes) !== 0);
    expect(differ).toEqual([]);
  });

  test("a row reads its pages, and a row's bytes keep no page in memory", () => {
    const path = written(temporaryFolder(), numRows);
    const read = Dataset.fromParquet<Row>(path, { cacheBytes: 1 });
    const { image } = read.at(numRows - 1);
    expect(image!.bytes!.buffer.byteLength).toBe(image!.bytes!.length);
    expect(read.readStatistics!.bytesRead).toBeLessThan(readFileSync(path).length * 0.6);
    // One page of each of the two leaves stays at least, and no more where no more is allowed.
    for (let i = 0; i < numRows; i += 50) read.at(i);
    expect(read.readStatistics!.peakCachedBytes).toBeLessThan(1.6e6);
  });

  test("pictures are neither compressed nor numbers of a dictionary, so that each is read by itself", () => {
    const read = Dataset.fromParquet<Row>(written(temporaryFolder(), numRows));
    read.column("image");
    // 12 bytes for the place of each, and the paths.
    expect(read.readStatistics!.cachedBytes).toBeLessThan(60 * numRows);
  });

  test("100 rows are a row group unless told otherwise", () => {
    const path = join(temporaryFolder(), "train.parquet");
    Dataset.fromDict({ image: pictures.slice(0, 250) }, { image: new Image() }).toParquet(path);
    expect(Dataset.fromParquet(path).readStatistics!.rowGroups).toBe(3);
  });

  test("a damaged page is an error, the others can be read", () => {
    const path = written(temporaryFolder(), numRows);
    const bytes = readFileSync(path);
    const needle = Buffer.from(pictures[2000]!.bytes!.subarray(0, 300));
    const at = bytes.indexOf(needle);
    expect(at).toBeGreaterThan(0);
    // The lengths of values are among them.
    writeFileSync(path, Buffer.from(bytes).fill(0xff, at - 1400, at + 300));
    const read = Dataset.fromParquet<Row>(path);
    const error = thrownBy(() => read.column("image"));
    expect(error.code).toBe("E_PARQUET_CORRUPT");
    expect(error.message).toMatch(/page/);
    expect(read.at(0).image).toEqual(pictures[0]);
  });
});

const tiny = sharedData("tiny_imagenet");
describe.skipIf(tiny === undefined)("Tiny ImageNet, a row group a shard", () => {
  test("every picture is there, with 8 MiB of pages in memory", () => {
    const train = loadDataset<Row>(tiny!, { split: "train" });
    let count = 0;
    for (let i = 0; i < 20_000; i += 7) {
      const { bytes } = train.at(i).image!;
      if (bytes![0] === 0xff && bytes![1] === 0xd8 && bytes!.at(-1) === 0xd9) count++;
    }
    expect(count).toBe(Math.ceil(20_000 / 7));
    expect(train.readStatistics!.peakCachedBytes).toBeLessThan(10 * 2 ** 20);
  });
});
