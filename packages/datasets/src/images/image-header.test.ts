import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { imageHeader, isGreyscale } from "./image-header.js";

const fixtures = join(process.env.WGRAD_SHARED!, "fixtures/images");
interface Fixture {
  file: string;
  format?: string;
  mode?: string;
  size?: [number, number];
  note?: string;
}

describe.skipIf(!existsSync(fixtures))("headers of pictures, as Pillow reads them", () => {
  const { images } = JSON.parse(
    existsSync(fixtures) ? readFileSync(join(fixtures, "index.json"), "utf8") : '{"images":[]}',
  ) as { images: Fixture[] };

  test.each(images.filter(({ mode }) => mode !== undefined).map((one) => [one.file, one] as const))(
    "%s",
    (file, { format, mode, size }) => {
      const header = imageHeader(readFileSync(join(fixtures, file)));
      expect(header).toEqual({ format, width: size![0], height: size![1], mode });
    },
  );

  test("grey is what has no colours", () => {
    const grey = (name: string): boolean => isGreyscale(readFileSync(join(fixtures, "files", name)));
    expect(["gray.jpg", "gray.png", "gray16.png", "la.png", "bilevel.png"].map(grey)).toEqual(
      Array(5).fill(true),
    );
    expect(["tiny0.jpg", "palette.png", "cmyk.jpg", "lossy.webp", "not_an_image.jpg"].map(grey)).toEqual(
      Array(5).fill(false),
    );
  });
});

test("bytes that are no picture, or end before the size", () => {
  expect(imageHeader(new Uint8Array())).toBeNull();
  expect(imageHeader(new TextEncoder().encode("hello, world"))).toBeNull();
  expect(imageHeader(Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 16))).toBeNull();
  expect(imageHeader(Uint8Array.of(0xff, 0xd8, 0xff, 0xd9))).toBeNull();
});
