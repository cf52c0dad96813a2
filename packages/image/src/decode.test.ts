// Files that are refused, and PNG written and read. What pictures decode to is in pillow.test.ts.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { decodeImage as decodeInBrowser } from "./decode.js";
import { decodeImage, encodePng } from "./node.js";

const files = fileURLToPath(new URL("../fixtures/files", import.meta.url));
const bytesOf = (name: string) => new Uint8Array(readFileSync(join(files, name)));
const changed = (name: string, at: number) => bytesOf(name).map((byte, i) => (i === at ? byte ^ 255 : byte));
const shared = join(process.env.WGRAD_SHARED ?? "", "fixtures", "images", "files");

describe("a file is refused", () => {
  it.each([
    ["no bytes", new Uint8Array(), "E_IMAGE_EMPTY", "no bytes: the file is empty"],
    ["text", bytesOf("not_an_image.jpg"), "E_IMAGE_FORMAT", "420 bytes beginning with 74 68 69 73"],
    ["PNG, header only", bytesOf("header_only.png"), "E_IMAGE_TRUNCATED", "a PNG file that ends too early"],
    [
      "JPEG, half",
      bytesOf("tiny0.jpg").slice(0, 900),
      "E_IMAGE_TRUNCATED",
      "a JPEG file that ends too early",
    ],
    [
      "CMYK, half",
      bytesOf("cmyk.jpg").slice(0, 9000),
      "E_IMAGE_TRUNCATED",
      "a JPEG file that ends too early",
    ],
    ["PNG, half", bytesOf("la.png").slice(0, 3000), "E_IMAGE_TRUNCATED", "a PNG file that ends too early"],
    ["16-bit PNG, half", bytesOf("gray16.png").slice(0, 3000), "E_IMAGE_TRUNCATED", "a PNG file that ends"],
    [
      "GIF, half",
      bytesOf("animated.gif").slice(0, 1000),
      "E_IMAGE_TRUNCATED",
      "a GIF file that ends too early",
    ],
    [
      "WebP, half",
      bytesOf("lossy.webp").slice(0, 2000),
      "E_IMAGE_TRUNCATED",
      "a WEBP file that ends too early",
    ],
    [
      "PNG with a changed byte",
      changed("la.png", 3000),
      "E_IMAGE_DECODE",
      "a damaged PNG file of 6880 bytes",
    ],
    ["BMP, half", bytesOf("plain.bmp").slice(0, 4000), "E_IMAGE_TRUNCATED", "4000 bytes, expected 7966"],
    ["BMP, header only", bytesOf("plain.bmp").slice(0, 20), "E_IMAGE_TRUNCATED", "20 bytes, expected 26"],
  ])("%s", async (_, bytes, code, message) => {
    await expect(decodeImage(bytes)).rejects.toMatchObject({
      name: "ImageError",
      code,
      message: expect.stringContaining(message),
    });
  });

  it("naming it, where it has a name", async () => {
    const path = join(files, "not_an_image.jpg");
    await expect(decodeImage(path)).rejects.toThrow(`${path}: not a picture`);
    await expect(decodeImage(join(files, "none.png"))).rejects.toMatchObject({
      code: "E_IMAGE_FILE",
      message: `${join(files, "none.png")}: no such file.`,
    });
    await expect(decodeImage(files)).rejects.toMatchObject({ code: "E_IMAGE_FILE" });
  });

  it("by the browser's decoder outside of a browser", async () => {
    await expect(decodeInBrowser(bytesOf("tiny0.jpg"))).rejects.toMatchObject({
      code: "E_IMAGE_ENVIRONMENT",
      message: expect.stringContaining("@wgrad/image/node"),
    });
    await expect(decodeInBrowser(new Uint8Array())).rejects.toMatchObject({ code: "E_IMAGE_EMPTY" });
  });
});

describe.skipIf(!existsSync(shared))("truncated files of fixtures/images (WGRAD_SHARED)", () => {
  it.each(["truncated.jpg", "truncated.png"])("%s", async (name) => {
    await expect(decodeImage(join(shared, name))).rejects.toMatchObject({ code: "E_IMAGE_TRUNCATED" });
  });
});

it("reads what it wrote", async () => {
  const image = await decodeImage(join(files, "tiny0.jpg"));
  const again = await decodeImage(await encodePng(image));
  expect(again).toEqual(image);
});

it("reads bytes in the middle of a buffer", async () => {
  const bytes = bytesOf("plain.bmp");
  const large = new Uint8Array(bytes.length + 20);
  large.set(bytes, 11);
  const image = await decodeImage(bytes);
  expect(await decodeImage(large.subarray(11, 11 + bytes.length))).toEqual(image);
});
