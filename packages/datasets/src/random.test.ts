import { expect, test } from "vitest";
import { Generator, permutation, philox4x32 } from "./random.js";

// Known answers of Random123 (kat_vectors, philox4x32 with 10 rounds).
test.each([
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [
    [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff],
    [0xffffffff, 0xffffffff],
    [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
] as const)("philox4x32 of %j under %j", (counter, key, expected) => {
  expect(philox4x32(counter, key)).toEqual(expected);
});

test("a permutation holds every number once and depends on seed and stream alone", () => {
  const order = permutation(1000, 7);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  expect(permutation(1000, 7)).toEqual(order);
  expect(permutation(1000, 8)).not.toEqual(order);
  expect(permutation(1000, 7, 1)).not.toEqual(order);
  expect(permutation(1000, 7 + 2 ** 32)).not.toEqual(order);
});

test("every place of a permutation is equally likely", () => {
  const counts = new Array<number>(5).fill(0);
  for (let seed = 0; seed < 5000; seed++) counts[permutation(5, seed).indexOf(0)]!++;
  // 1000 expected; the standard deviation is 28, so 5 of them.
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(140);
});

test("numbers below a bound stay below it and reach it", () => {
  const generator = new Generator(3);
  const drawn = new Set(Array.from({ length: 200 }, () => generator.nextBelow(6)));
  expect([...drawn].sort()).toEqual([0, 1, 2, 3, 4, 5]);
  const x = generator.nextFloat();
  expect(x >= 0 && x < 1).toBe(true);
});
