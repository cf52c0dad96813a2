import { describe, expect, it } from "vitest";
import type { Example, TokenBatch } from "./data-collator.js";
import { dataCollatorForLanguageModeling } from "./language-modeling-collator.js";

const tokenizer = { padTokenId: 0, maskTokenId: 4, allSpecialIds: [0, 1, 2, 3, 4], fullVocabSize: 1000 };
/** [CLS] 18 tokens [SEP] */
const rows: Example[] = Array.from({ length: 400 }, (_, i) => ({
  inputIds: [2, ...Array.from({ length: 18 }, (_, t) => 100 + ((i * 31 + t * 7) % 800)), 3],
  label: i % 2,
}));
const all = rows.map((_, i) => i);
const context = (indices: number[], epoch = 0, training = true) => ({ indices, epoch, training });

/** Share of the tokens of each fate. */
function fates(batch: TokenBatch) {
  const counts = { chosen: 0, mask: 0, kept: 0, random: 0 };
  batch.labels!.forEach((label, t) => {
    if (label === -100) return;
    counts.chosen++;
    const id = batch.inputIds[t]!;
    if (id === 4) counts.mask++;
    else if (id === label) counts.kept++;
    else counts.random++;
  });
  return counts;
}

describe("dataCollatorForLanguageModeling", () => {
  it("chooses 15 in 100, of which 80 become [MASK], 10 another token, 10 stay; never [CLS] or [SEP]", () => {
    const batch = dataCollatorForLanguageModeling(tokenizer)(rows, context(all));
    const { chosen, mask, kept, random } = fates(batch);
    expect(chosen / (400 * 18)).toBeCloseTo(0.15, 1);
    expect(Math.abs(chosen - 1080)).toBeLessThan(3 * Math.sqrt(7200 * 0.15 * 0.85));
    expect(mask / chosen).toBeCloseTo(0.8, 1);
    expect(kept / chosen).toBeCloseTo(0.1, 1);
    expect(random / chosen).toBeCloseTo(0.1, 1);
    for (let i = 0; i < 400; i++) for (const t of [0, 19]) expect(batch.labels![i * 20 + t]).toBe(-100);
    expect(
      batch.labels!.every(
        (label, t) => label !== -100 || batch.inputIds[t] === rows[Math.floor(t / 20)]!.inputIds[t % 20],
      ),
    ).toBe(true);
  });

  it("masks an example alike in whatever batch it is, anew each epoch, and all evaluations alike", () => {
    const collate = dataCollatorForLanguageModeling(tokenizer);
    const one = collate([rows[7]!], context([7]));
    const among = collate([rows[3]!, rows[7]!], context([3, 7]));
    expect(one.inputIds).toEqual(among.inputIds.subarray(20));
    expect(one.labels).toEqual(among.labels!.subarray(20));
    const some = rows.slice(0, 20);
    const labels = (epoch: number, training: boolean) =>
      collate(some, context(all.slice(0, 20), epoch, training)).labels;
    expect(labels(1, true)).not.toEqual(labels(0, true));
    expect(labels(1, false)).toEqual(labels(0, false));
    expect(labels(0, false)).not.toEqual(labels(0, true));
    const other = dataCollatorForLanguageModeling(tokenizer, { seed: 43 });
    expect(other(some, context(all.slice(0, 20))).labels).not.toEqual(labels(0, true));
  });

  it("puts rows one behind the other with the same masks", () => {
    const two = [rows[0]!, { inputIds: [2, 500, 501, 3] }];
    const at = context([0, 1]);
    const padded = dataCollatorForLanguageModeling(tokenizer)(two, at);
    const flat = dataCollatorForLanguageModeling(tokenizer, { flatten: true, padToMultipleOf: 1 })(two, at);
    expect(flat.labels).toEqual(padded.labels!.subarray(0, 24));
    expect("cuSeqlens" in flat && flat.cuSeqlens).toEqual(Int32Array.of(0, 20, 24));
  });

  it("says what it cannot work with", () => {
    expect(() => dataCollatorForLanguageModeling({ ...tokenizer, maskTokenId: undefined })).toThrow(
      "no mask token",
    );
    expect(() => dataCollatorForLanguageModeling(tokenizer, { mlmProbability: 0 })).toThrow(
      "mlmProbability is 0",
    );
    expect(() =>
      dataCollatorForLanguageModeling(tokenizer, { maskReplaceProb: 0.9, randomReplaceProb: 0.2 }),
    ).toThrow("their sum not over 1");
  });
});
