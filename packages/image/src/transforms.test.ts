import { describe, expect, it } from "vitest";
import { ImageError } from "./errors.js";
import type { RawImage } from "./raw-image.js";
import {
  applyTransforms,
  centerCrop,
  checkTransforms,
  type RandomResizedCrop,
  resize,
  resizedSize,
  type Transform,
} from "./transforms.js";

/** Pixel (x, y) is [x, y, 7]. */
function grid(width: number, height: number): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) for (let x = 0; x < width; x++) data.set([x, y, 7], (y * width + x) * 3);
  return { data, width, height };
}

const pixel = (image: RawImage, x: number, y: number): number[] => [
  ...image.data.subarray((y * image.width + x) * 3, (y * image.width + x) * 3 + 3),
];

/** A fixed row of numbers, then an error: nothing may ask for more. */
function from(...values: number[]): () => number {
  let at = 0;
  return () => {
    const value = values[at++];
    if (value === undefined) throw new Error("one random number too many");
    return value;
  };
}

describe("sizes", () => {
  it.each([
    [640, 427, 224, [224, 335]],
    [200, 350, 224, [392, 224]],
    [600, 60, 224, [224, 2240]],
    [301, 224, 224, [224, 301]],
    [5, 3, 224, [224, 373]],
  ])("%d x %d to a shortest edge of %d", (width, height, size, wanted) => {
    expect(resizedSize({ width, height }, size)).toEqual(wanted);
  });

  it("are height and width where two are given", () => {
    const { width, height } = resize(grid(9, 4), [3, 5]);
    expect([height, width]).toEqual([3, 5]);
  });
});

describe("centerCrop", () => {
  it("begins at the floor of half the rest", () => {
    expect(pixel(centerCrop(grid(8, 5), [3, 3]), 0, 0)).toEqual([2, 1, 7]);
  });

  it("gives black edges to what is smaller, as CLIP's processor does", () => {
    const out = centerCrop(grid(2, 6), [4, 5]);
    expect([out.width, out.height]).toEqual([5, 4]);
    // ceil((5 - 2) / 2) = 2 columns before the picture, 1 after.
    expect([1, 2, 3, 4].map((x) => pixel(out, x, 0))).toEqual([
      [0, 0, 0],
      [0, 1, 7],
      [1, 1, 7],
      [0, 0, 0],
    ]);
  });

  it("gives the same after a resize in one step and in two", () => {
    const image = grid(9, 4);
    for (const [size, crop] of [
      [6, 9],
      [4, 4],
      [4, [7, 3]],
    ] as const)
      expect(
        applyTransforms(
          image,
          [
            { type: "resize", size, interpolation: "bicubic" },
            { type: "centerCrop", size: crop },
          ],
          from(),
        ),
      ).toEqual(centerCrop(resize(image, size), crop));
  });
});

describe("random transforms", () => {
  it("mirror with probability p", () => {
    const flip: Transform[] = [{ type: "randomHorizontalFlip", p: 0.3 }];
    expect(pixel(applyTransforms(grid(4, 2), flip, from(0.29)), 0, 1)).toEqual([3, 1, 7]);
    expect(pixel(applyTransforms(grid(4, 2), flip, from(0.3)), 0, 1)).toEqual([0, 1, 7]);
  });

  it("cut out a part of the drawn area and ratio, at the drawn place", () => {
    const step: RandomResizedCrop = {
      type: "randomResizedCrop",
      size: [5, 5],
      scale: [0.25, 0.25],
      ratio: [1, 1],
    };
    // A quarter of 10 x 10 is 5 x 5; its place is floor(draw * 6).
    const out = applyTransforms(grid(10, 10), [step], from(0.5, 0.5, 0.99, 0.4));
    expect(pixel(out, 0, 0)).toEqual([2, 5, 7]);
    expect(pixel(out, 4, 4)).toEqual([6, 9, 7]);
  });

  it("take the middle where no drawn part fits", () => {
    const step: RandomResizedCrop = { type: "randomResizedCrop", size: [2, 2], scale: [1, 1], ratio: [1, 1] };
    const out = applyTransforms(
      grid(20, 2),
      [{ ...step, interpolation: "nearest" }],
      from(...Array<number>(20).fill(0.5)),
    );
    expect(pixel(out, 0, 0)).toEqual([9, 0, 7]);
  });

  it("read the same count of numbers whatever the settings of the colours", () => {
    const values = [0.9, 0.9, 0.9, 0.5, 0.5, 0.5, 0.5];
    const image = grid(3, 3);
    expect(applyTransforms(image, [{ type: "colorJitter" }], from(...values))).toEqual(image);
    const jitter: Transform = { type: "colorJitter", brightness: [2, 2] };
    expect(pixel(applyTransforms(image, [jitter], from(...values)), 2, 1)).toEqual([4, 2, 14]);
  });

  it("are the same for the same numbers", () => {
    const steps: Transform[] = [
      { type: "randomResizedCrop", size: 8 },
      { type: "randomHorizontalFlip" },
      { type: "colorJitter", brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 },
    ];
    const seeded = () => {
      let x = 7;
      return () => {
        x = (x * 16807) % 2147483647;
        return x / 2147483647;
      };
    };
    const once = applyTransforms(grid(40, 30), steps, seeded());
    expect([once.width, once.height]).toEqual([8, 8]);
    expect(applyTransforms(grid(40, 30), steps, seeded())).toEqual(once);
  });
});

describe("what makes no sense is named", () => {
  it.each([
    [{ type: "blur" }, 'transforms[0]: {"type":"blur"} is no known transform. Known types: resize'],
    [{ type: "resize", size: 0 }, "size is 0, expected a whole number over 0"],
    [{ type: "resize" }, "size is undefined"],
    [{ type: "resize", size: [1, 2, 3] }, "size is [1,2,3]"],
    [{ type: "resize", size: 8, interpolation: "lanczos" }, 'interpolation is "lanczos", expected bicubic'],
    [{ type: "resize", size: 8, antialias: true }, "unknown option antialias. It has: size, interpolation"],
    [{ type: "randomHorizontalFlip", p: 2 }, "p is 2, expected 0 to 1"],
    [
      { type: "randomResizedCrop", size: 8, scale: [1, 0.5] },
      "scale is [1,0.5], expected [smallest, largest]",
    ],
    [{ type: "colorJitter", hue: 0.7 }, "hue is 0.7, expected a number of 0 to 0.5"],
    [{ type: "colorJitter", brightness: -1 }, "brightness is -1, expected a number of 0 or more"],
  ])("%j", (transform, message) => {
    const check = () => checkTransforms([transform as Transform]);
    expect(check).toThrow(ImageError);
    expect(check).toThrow(message);
  });

  it("also a picture whose bytes are not RGB", () => {
    expect(() => resize({ data: new Uint8Array(16), width: 2, height: 2 }, 4)).toThrow(
      "data holds 16 bytes, a picture of 2x2 has 12",
    );
  });
});
