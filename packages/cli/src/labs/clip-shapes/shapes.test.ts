/** What the data set of shapes promises: descriptions, captions, held-out combinations, the same bits each time, batches. */
import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { makeShapesDataset, Pictures } from "./dataset.js";
import { DistinctSampler } from "./distinct-sampler.js";
import { drawShape } from "./draw.js";
import {
  ATTRIBUTES,
  allCaptions,
  allPrompts,
  COMBINATIONS,
  captionOf,
  combinationOf,
  descriptionOf,
  descriptionsOf,
  isHeldOut,
  NUM_COMBINATIONS,
  NUM_DESCRIPTIONS,
  numberOf,
} from "./shapes.js";

const numbers = Array.from({ length: NUM_DESCRIPTIONS }, (_, number) => number);

describe("descriptions", () => {
  it("are numbered without gaps, colour and form first", () => {
    expect(NUM_DESCRIPTIONS).toBe(864);
    expect(numbers.map((number) => numberOf(descriptionOf(number)))).toEqual(numbers);
    expect(numbers.map((n) => combinationOf(descriptionOf(n)))).toEqual(
      numbers.map((n) => Math.floor(n / 18)),
    );
    expect(captionOf(descriptionOf(0))).toBe("a small red circle in the top left");
    expect(COMBINATIONS[combinationOf({ colour: 5, form: 3, size: 0, position: 0 })]).toBe("blue star");
  });

  it("each has captions and a prompt of its own", () => {
    expect(new Set(allPrompts()).size).toBe(NUM_DESCRIPTIONS);
    expect(new Set(allCaptions()).size).toBe(allCaptions().length);
  });

  it("one form of each colour is held out, and no colour and no form altogether", () => {
    const pairs = ATTRIBUTES.colour.flatMap((_, colour) =>
      ATTRIBUTES.form.map((_, form) => ({ colour, form, out: isHeldOut({ colour, form }) })),
    );
    const count = (name: "colour" | "form", value: number) =>
      pairs.filter((pair) => pair.out && pair[name] === value).length;
    expect(ATTRIBUTES.colour.map((_, colour) => count("colour", colour))).toEqual(Array(8).fill(1));
    for (const form of ATTRIBUTES.form.keys()) expect([1, 2]).toContain(count("form", form));
    expect(descriptionsOf("held-out").length).toBe((8 / NUM_COMBINATIONS) * NUM_DESCRIPTIONS);
    expect([...descriptionsOf("seen"), ...descriptionsOf("held-out")].sort((a, b) => a - b)).toEqual(numbers);
  });
});

describe("the data set", () => {
  const data = makeShapesDataset({ picturesPerDescription: 2, evaluationPictures: 100 });

  it("has no held-out combination in training and validation, and nothing else in test", () => {
    const held = (rows: typeof data.train) =>
      rows.filter((row) => isHeldOut(descriptionOf(row.description))).length;
    expect([held(data.train), held(data.validation), held(data.test)]).toEqual([0, 0, 100]);
    for (const word of COMBINATIONS.filter((_, n) => isHeldOut(descriptionOf(n * 18))))
      expect(data.train.filter(({ caption }) => caption.includes(word))).toEqual([]);
  });

  it("has every other description equally often, with a caption that says what it is", () => {
    const counts = new Map<number, number>();
    for (const { description } of data.train) counts.set(description, (counts.get(description) ?? 0) + 1);
    expect([...counts.keys()].sort((a, b) => a - b)).toEqual(descriptionsOf("seen"));
    expect(new Set(counts.values())).toEqual(new Set([2]));
    for (const { description, caption } of data.train) {
      const { colour, form, size, position } = descriptionOf(description);
      for (const word of [
        ATTRIBUTES.colour[colour],
        ATTRIBUTES.form[form],
        ATTRIBUTES.size[size],
        ATTRIBUTES.position[position],
      ])
        expect(caption).toContain(word);
    }
  });

  it("is the same bits for one seed, and other ones for another", () => {
    const digest = (seed: number) => {
      const made = makeShapesDataset({ seed, picturesPerDescription: 1, evaluationPictures: 20 });
      const pictures = new Pictures({ side: 24, seed });
      const hash = createHash("sha256").update(JSON.stringify(made));
      for (const rows of [made.train, made.validation, made.test])
        for (const row of rows) hash.update(pictures.of(row).data);
      return hash.digest("hex");
    };
    expect(digest(42)).toBe(digest(42));
    expect(digest(42)).not.toBe(digest(43));
    expect(
      new Set([data.train, data.validation, data.test].flatMap((rows) => rows.map(({ picture }) => picture)))
        .size,
    ).toBe(data.train.length + 200);
  });
});

describe("a drawing", () => {
  const side = 48;
  const draw = (description: Parameters<typeof drawShape>[0], picture = 1) =>
    drawShape(description, { side, seed: 7, picture });
  /** Of a cyan shape, which has little red beside its green and blue: share of the pixels, and their middle. */
  const inkOf = ({ data }: ReturnType<typeof drawShape>) => {
    let [count, x, y] = [0, 0, 0];
    for (let i = 0; i < side * side; i++) {
      const [red, green, blue] = data.subarray(3 * i, 3 * i + 3) as unknown as [number, number, number];
      if ((green + blue) / 2 - red < 85) continue;
      count++;
      x += (i % side) + 0.5;
      y += Math.floor(i / side) + 0.5;
    }
    return { share: count / side ** 2, x: x / count / side, y: y / count / side };
  };

  it.each(ATTRIBUTES.form.map((name, form) => [name, form]))(
    "of a %s lies where it is said to, and is as large",
    (_, form) => {
      const colour = 4;
      for (const picture of [1, 2, 3, 4]) {
        const left = inkOf(draw({ colour, form, size: 0, position: 3 }, picture));
        const low = inkOf(draw({ colour, form, size: 1, position: 7 }, picture));
        expect(Math.abs(left.x - 0.25) + Math.abs(left.y - 0.5)).toBeLessThan(0.1);
        expect(Math.abs(low.x - 0.5) + Math.abs(low.y - 0.75)).toBeLessThan(0.13);
        expect(low.share).toBeGreaterThan(1.8 * left.share);
        expect(left.share).toBeGreaterThan(0.008);
      }
    },
  );

  it("of a circle covers π r², its edge mixed with the background", () => {
    const { data } = drawShape(
      { colour: 2, form: 0, size: 1, position: 4 },
      { side: 96, seed: 1, picture: 5 },
    );
    // Yellow has little blue, the background much: blue tells how much of a pixel is covered.
    const blue = Array.from({ length: 96 * 96 }, (_, i) => data[3 * i + 2]!);
    const [ink, ground] = [Math.min(...blue), Math.max(...blue)];
    const cover = blue.map((value) => (ground - value) / (ground - ink));
    const area = cover.filter((share) => share > 0.5).length;
    const radius = Math.sqrt(area / Math.PI) / 96;
    expect(radius).toBeGreaterThan(0.94 * 0.24 * 0.9 - 0.01);
    expect(radius).toBeLessThan(0.94 * 0.24 * 1.1 + 0.01);
  });
});

describe("DistinctSampler", () => {
  const keys = Array.from({ length: 300 }, (_, row) => row % 50);
  const epochOf = (sampler: DistinctSampler, epoch: number): number[] => {
    sampler.setEpoch(epoch);
    return [...sampler];
  };

  it.each([7, 16, 25])("gives every row once, and no key twice in a batch of %i", (batchSize) => {
    for (const seed of [0, 1, 2]) {
      for (const epoch of [0, 1]) {
        const order = epochOf(new DistinctSampler(keys, batchSize, seed), epoch);
        expect([...order].sort((a, b) => a - b)).toEqual(keys.map((_, row) => row));
        for (let begin = 0; begin + batchSize <= order.length; begin += batchSize) {
          const batch = order.slice(begin, begin + batchSize).map((row) => keys[row]);
          expect(new Set(batch).size).toBe(batchSize);
        }
      }
    }
  });

  it("depends on seed and epoch alone", () => {
    const of = (seed: number, epoch: number) => epochOf(new DistinctSampler(keys, 16, seed), epoch);
    expect(of(3, 1)).toEqual(of(3, 1));
    expect(of(3, 1)).not.toEqual(of(3, 0));
    expect(of(3, 1)).not.toEqual(of(4, 1));
  });
});
