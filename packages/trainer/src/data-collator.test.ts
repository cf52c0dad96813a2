import { describe, expect, it } from "vitest";
import { dataCollatorWithFlattening, dataCollatorWithPadding } from "./data-collator.js";

const tokenizer = { padTokenId: 9 };
const rows = [
  { inputIds: [1, 5, 2], label: 1 },
  { inputIds: [1, 2], label: 0 },
];

describe("dataCollatorWithPadding", () => {
  it("pads to the longest, or a multiple", () => {
    expect(dataCollatorWithPadding(tokenizer)(rows)).toEqual({
      inputIds: Int32Array.of(1, 5, 2, 1, 2, 9),
      attentionMask: Int32Array.of(1, 1, 1, 1, 1, 0),
      labels: Int32Array.of(1, 0),
      batchSize: 2,
      length: 3,
      numTokens: 5,
    });
    expect(dataCollatorWithPadding(tokenizer, { padToMultipleOf: 4 })(rows).length).toBe(4);
  });
});

describe("dataCollatorWithFlattening", () => {
  it("puts the rows one behind the other and fills up to a multiple", () => {
    expect(dataCollatorWithFlattening(tokenizer, { padToMultipleOf: 4 })(rows)).toEqual({
      inputIds: Int32Array.of(1, 5, 2, 1, 2, 9, 9, 9),
      positionIds: Int32Array.of(0, 1, 2, 0, 1, 0, 0, 0),
      cuSeqlens: Int32Array.of(0, 3, 5),
      labels: Int32Array.of(1, 0),
      batchSize: 2,
      length: 8,
      numTokens: 5,
    });
    expect(dataCollatorWithFlattening(tokenizer)(rows).length).toBe(64);
  });

  it("keeps labels a token, and leaves out what a mask hides", () => {
    const batch = dataCollatorWithFlattening(tokenizer, { padToMultipleOf: 1 })([
      { inputIds: [9, 1, 2], attentionMask: [0, 1, 1], labels: [7, 8, -100] },
      { inputIds: [3], labels: [4] },
    ]);
    expect(batch).toMatchObject({
      inputIds: Int32Array.of(1, 2, 3),
      positionIds: Int32Array.of(1, 2, 0),
      cuSeqlens: Int32Array.of(0, 2, 3),
      labels: Int32Array.of(8, -100, 4),
    });
  });

  it("says which example has no token or no label", () => {
    const collate = dataCollatorWithFlattening(tokenizer);
    expect(() => collate([{ inputIds: [1], label: 0 }, { inputIds: [] }])).toThrow("example 1 of a batch");
    expect(() => collate([{ inputIds: [1], label: 0 }, { inputIds: [1] }])).toThrow("no label");
  });
});
