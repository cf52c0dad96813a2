import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { Dataset } from "../dataset.js";
import { ClassLabel, Image } from "../features.js";
import { loadDataset } from "../load-dataset.js";
import { sharedData, temporaryFolder, thrownBy } from "../testing/helpers.js";
import { greyPng, rgbPng } from "../testing/images.js";
import type { EncodedImage } from "./encoded-image.js";
import { withoutGreyscale } from "./greyscale.js";
import { tinyImagenetNames } from "./tiny-imagenet.js";

interface Row {
  image: EncodedImage;
  label: number;
}

function write(folder: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

describe("folders of pictures", () => {
  test("splits and classes from the names of folders", () => {
    const folder = write(temporaryFolder(), {
      "train/dog/b.png": rgbPng(4, 3),
      "train/cat/a.PNG": rgbPng(4, 3),
      "train/cat/deep/c.jpeg": rgbPng(4, 3),
      "val/dog/d.webp": rgbPng(4, 3),
      "train/dog/notes.txt": "no picture",
    });
    const dict = loadDataset<Row>(folder);
    expect(dict.numRows).toEqual({ train: 3, validation: 1 });
    const train = dict.get("train");
    expect(train.features).toEqual({ image: new Image(), label: new ClassLabel(["cat", "dog"]) });
    expect(train.slice()).toEqual([
      { image: { bytes: null, path: join(folder, "train/cat/a.PNG") }, label: 0 },
      { image: { bytes: null, path: join(folder, "train/cat/deep/c.jpeg") }, label: 0 },
      { image: { bytes: null, path: join(folder, "train/dog/b.png") }, label: 1 },
    ]);
    // The class has its number in every split.
    expect(dict.get("validation").at(0).label).toBe(1);
    expect(loadDataset<Row>(folder, { split: "validation" }).numRows).toBe(1);
    expect(thrownBy(() => loadDataset(folder, { split: "test" })).code).toBe("E_SPLIT_MISSING");
  });

  test("without splits it is train; pictures without a class have none", () => {
    const folder = write(temporaryFolder(), { "a/1.png": "", "b/2.png": "", "3.png": "" });
    const train = loadDataset<Row>(folder, { split: "train" });
    expect(train.rows([0, 1, 2]).map(({ label }) => label)).toEqual([-1, 0, 1]);
    const flat = write(temporaryFolder(), { "1.png": "", "2.png": "" });
    expect(loadDataset(flat, { split: "train" }).columnNames).toEqual(["image"]);
  });

  test("metadata beside the pictures", () => {
    const folder = write(temporaryFolder(), {
      "train/1.png": "",
      "train/2.png": "",
      "train/metadata.csv": "file_name,text,score\n2.png,two,2\n1.png,one,1\n",
    });
    const train = loadDataset<{ image: EncodedImage; text: string; score: number }>(folder, {
      split: "train",
    });
    expect(train.columnNames).toEqual(["image", "text", "score"]);
    expect(train.slice().map(({ image, text, score }) => [image.path, text, score])).toEqual([
      [join(folder, "train/1.png"), "one", 1],
      [join(folder, "train/2.png"), "two", 2],
    ]);
    write(folder, { "train/metadata.csv": "name,text\n1.png,one\n" });
    expect(thrownBy(() => loadDataset(folder)).message).toContain('no column "file_name"');
    write(folder, { "train/metadata.csv": "file_name,text\n7.png,one\n" });
    expect(thrownBy(() => loadDataset(folder)).message).toContain("none of the files it names is there");
  });

  test("a table beside a few pictures is still the data set", () => {
    const folder = write(temporaryFolder(), { "train.csv": "text,label\na,b\n", "logo.png": "" });
    expect(loadDataset(folder).get("train").columnNames).toEqual(["text", "label"]);
  });

  test("grey pictures are left out where asked", () => {
    const folder = write(temporaryFolder(), {
      "a/1.png": rgbPng(4, 3),
      "a/2.png": greyPng(4, 3),
      "b/3.png": rgbPng(4, 3),
      "b/4.png": "no picture: stays, decoding it says why",
    });
    expect(loadDataset(folder, { split: "train" }).numRows).toBe(4);
    const kept = loadDataset<Row>(folder, { split: "train", skipGreyscale: true });
    expect(kept.slice().map(({ image }) => image.path!.slice(-5))).toEqual(["1.png", "3.png", "4.png"]);
    const texts = Dataset.fromDict({ text: ["a"] });
    expect(withoutGreyscale(texts)).toBe(texts);
  });

  test("written as Parquet, the pictures are in the file", () => {
    const folder = write(temporaryFolder(), { "a/1.png": rgbPng(4, 3), "b/2.png": rgbPng(5, 3) });
    const file = join(temporaryFolder(), "train.parquet");
    loadDataset<Row>(folder, { split: "train" }).toParquet(file);
    const read = Dataset.fromParquet<Row>(file);
    expect(read.features).toEqual({ image: new Image(), label: new ClassLabel(["a", "b"]) });
    expect(read.at(1)).toEqual({ image: { bytes: rgbPng(5, 3), path: "2.png" }, label: 1 });
    const gone = Dataset.fromDict({ image: [{ bytes: null, path: "nowhere.png" }] }, { image: new Image() });
    expect(thrownBy(() => gone.toParquet(file)).code).toBe("E_FILE_READ");
  });
});

describe("Tiny ImageNet's own layout", () => {
  const tiny = (): string =>
    write(temporaryFolder(), {
      "wnids.txt": "n02\nn01\n",
      "words.txt": "n01\tgoldfish, Carassius auratus\nn02\tbullfrog\nn03\tnot among them\n",
      "train/n01/images/n01_10.JPEG": rgbPng(4, 3),
      "train/n01/images/n01_9.JPEG": rgbPng(4, 3),
      "train/n01/n01_boxes.txt": "n01_9.JPEG\t0\t0\t1\t1\n",
      "train/n02/images/n02_0.JPEG": rgbPng(4, 3),
      "val/images/val_0.JPEG": rgbPng(4, 3),
      "val/images/val_1.JPEG": rgbPng(4, 3),
      "val/val_annotations.txt": "val_1.JPEG\tn01\t0\t0\t1\t1\nval_0.JPEG\tn02\t0\t0\t1\t1\n",
      "test/images/test_0.JPEG": rgbPng(4, 3),
    });

  test("classes by wnid, the validation set's from its annotations, none for test", () => {
    const folder = tiny();
    const dict = loadDataset<Row>(folder);
    expect(dict.numRows).toEqual({ train: 3, validation: 2, test: 1 });
    expect(dict.get("test").features.label).toEqual(new ClassLabel(["n01", "n02"]));
    const labels = (split: string) =>
      dict
        .get(split)
        .slice()
        .map(({ image, label }) => [image.path!.replace(/.*\//, ""), label]);
    expect(labels("train")).toEqual([
      ["n01_9.JPEG", 0],
      ["n01_10.JPEG", 0],
      ["n02_0.JPEG", 1],
    ]);
    expect(labels("validation")).toEqual([
      ["val_0.JPEG", 1],
      ["val_1.JPEG", 0],
    ]);
    expect(labels("test")).toEqual([["test_0.JPEG", -1]]);
    writeFileSync(join(folder, "val/val_annotations.txt"), "val_1.JPEG\tn01\t0\t0\t1\t1\n");
    expect(thrownBy(() => loadDataset(folder)).message).toContain(
      "does not name the class of val/images/val_0.JPEG",
    );
  });

  test("names of classes", () => {
    const folder = tiny();
    expect(Object.fromEntries(tinyImagenetNames(folder))).toEqual({
      n01: "goldfish",
      n02: "bullfrog",
      n03: "not among them",
    });
    expect(tinyImagenetNames(join(folder, "wnids.txt")).get("n02")).toBe("bullfrog");
    expect(tinyImagenetNames(temporaryFolder()).size).toBe(0);
  });
});

const parquet = sharedData("tiny_imagenet");
describe.skipIf(parquet === undefined)("Tiny ImageNet from Parquet to a folder and back", () => {
  test("the same pictures, classes and names", () => {
    const validation = loadDataset<Row>(parquet!, { split: "validation" }).take(60);
    const { names } = validation.features.label as ClassLabel;
    expect(tinyImagenetNames(parquet!).get(names[0]!)).toBe("goldfish");
    const folder = temporaryFolder();
    write(folder, { "wnids.txt": names.join("\n"), "train/n0/images/n0_0.JPEG": "" });
    const lines: string[] = [];
    for (const { image, label } of validation) {
      write(folder, { [`val/images/${image.path}`]: image.bytes! });
      lines.push(`${image.path}\t${names[label]}\t0\t0\t62\t57`);
    }
    write(folder, { "val/val_annotations.txt": lines.join("\n") });
    const read = loadDataset<Row>(folder, { split: "validation", skipGreyscale: true });
    expect(read.numRows).toBe(60);
    const fileOf = (path: string): string => path.replace(/.*\//, "");
    const byName = new Map(read.slice().map((row) => [fileOf(row.image.path!), row]));
    const namesRead = (read.features.label as ClassLabel).names;
    for (const { image, label } of validation) {
      const row = byName.get(image.path!)!;
      expect(namesRead[row.label]).toBe(names[label]);
      expect(new Uint8Array(readFileSync(row.image.path!))).toEqual(image.bytes);
    }
    expect(existsSync(join(folder, "test"))).toBe(false);
  });
});
