import { expect, test } from "vitest";
import * as entry from "./index.js";

test("the public names: growth is a decision", () => {
  expect(Object.keys(entry).sort()).toEqual([
    "ClassLabel",
    "DataLoader",
    "Dataset",
    "DatasetDict",
    "DatasetError",
    "Generator",
    "Image",
    "ImageLoader",
    "OtherFeature",
    "RandomSampler",
    "Sampler",
    "Sequence",
    "SequentialSampler",
    "Value",
    "findDataFiles",
    "imageBytes",
    "imageHeader",
    "isEncodedImage",
    "isGreyscale",
    "loadDataset",
    "permutation",
    "philox4x32",
    "tinyImagenetNames",
    "withoutGreyscale",
  ]);
});
