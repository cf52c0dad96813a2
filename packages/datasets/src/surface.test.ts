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
    "OtherFeature",
    "RandomSampler",
    "Sampler",
    "Sequence",
    "SequentialSampler",
    "Value",
    "findDataFiles",
    "loadDataset",
    "permutation",
    "philox4x32",
  ]);
});
