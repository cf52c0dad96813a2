// Every result beside Pillow's: fixtures/make.py writes them. All are equal to the byte.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { adjustColors, type ColorChange } from "./color-jitter.js";
import { type DecodeOptions, decodeImage } from "./node.js";
import type { RawImage } from "./raw-image.js";
import { applyTransforms, centerCrop, type Interpolation, resize, type Transform } from "./transforms.js";

interface Digest {
  width: number;
  height: number;
  sha256: string;
}

interface Both {
  decoded: Digest;
  clip: Digest;
}

interface Fixtures {
  files: Record<string, { bad?: string; plain?: Both; turned?: Both; white?: Both }>;
  resizes: {
    from: [number, number];
    to: [number, number];
    interpolation: Interpolation;
    data: string;
  }[];
  colors: (ColorChange & { data: string })[];
  bmps: { name: string; file: string; width: number; height: number; data: string }[];
}

const folder = fileURLToPath(new URL("../fixtures", import.meta.url));
const fixtures = JSON.parse(readFileSync(join(folder, "pillow.json"), "utf8")) as Fixtures;

const digest = ({ data, width, height }: RawImage): Digest => ({
  width,
  height,
  sha256: createHash("sha256").update(data).digest("hex"),
});

const bytes = (base64: string): number[] => [...Buffer.from(base64, "base64")];

const clip: Transform[] = [
  { type: "resize", size: 224, interpolation: "bicubic" },
  { type: "centerCrop", size: 224 },
];
const noRandom = (): number => 0;

/** The picture of `pattern` in make.py. */
function pattern(width: number, height: number): RawImage {
  const data = new Uint8Array(width * height * 3);
  let x = 12345n;
  for (let i = 0; i < data.length; i++) {
    x = (x * 1103515245n + 12345n) & 0x7fffffffn;
    data[i] = i % 9 === 0 ? (i % 2 === 0 ? 255 : 0) : Number((x >> 16n) & 255n);
  }
  return { data, width, height };
}

describe.each(Object.entries(fixtures.files).filter(([, { bad }]) => !bad))("%s", (name, wanted) => {
  const readings: [string, Both | undefined, DecodeOptions][] = [
    ["as it is stored", wanted.plain, { orientation: false, transparency: "drop" }],
    ["turned by EXIF", wanted.turned, { transparency: "drop" }],
    ["on white", wanted.white, { orientation: false }],
  ];
  it.each(readings.filter(([, both]) => both))("%s", async (_, both, options) => {
    const image = await decodeImage(join(folder, "files", name), options);
    expect(digest(image)).toEqual(both?.decoded);
    expect(digest(applyTransforms(image, clip, noRandom))).toEqual(both?.clip);
    // One after the other gives what both in one give.
    expect(digest(centerCrop(resize(image, 224), 224))).toEqual(both?.clip);
  });
});

it.each(fixtures.resizes)("$interpolation from $from to $to", ({ from, to, interpolation, data }) => {
  const [width, height] = to;
  const got = resize(pattern(...from), [height, width], interpolation);
  expect([...got.data]).toEqual(bytes(data));
});

it.each(fixtures.resizes.filter(({ to: [width, height] }) => width > 2 && height > 2))(
  "the middle of $interpolation from $from to $to, without computing the rest",
  ({ from, to: [width, height], interpolation }) => {
    const size = [height - 2, width - 1] as const;
    const whole = resize(pattern(...from), [height, width], interpolation);
    const both: Transform[] = [
      { type: "resize", size: [height, width], interpolation },
      { type: "centerCrop", size },
    ];
    expect(applyTransforms(pattern(...from), both, noRandom)).toEqual(centerCrop(whole, size));
  },
);

it.each(fixtures.colors)("$kind by $amount", ({ data, ...change }) => {
  expect([...adjustColors(pattern(12, 11), [change]).data]).toEqual(bytes(data));
});

it.each(fixtures.bmps)("BMP: $name", async ({ file, width, height, data }) => {
  const image = await decodeImage(Buffer.from(file, "base64"), { transparency: "drop" });
  expect([image.width, image.height]).toEqual([width, height]);
  expect([...image.data]).toEqual(bytes(data));
});
