import type { RawImage } from "@wgrad/image";
import sharp from "sharp";
import { describe, expect, it } from "vitest";
import { svgOf, widthOf, wrap } from "./lettering.js";
import { type GridCell, pictureGrid } from "./picture-grid.js";

function plain(width: number, height: number, colour: readonly [number, number, number]): RawImage {
  const data = new Uint8Array(width * height * 3);
  for (let i = 0; i < data.length; i++) data[i] = colour[i % 3]!;
  return { data, width, height };
}

const cells: GridCell[] = [
  { image: plain(8, 8, [0, 0, 255]), lines: ["blue 90 %", "true: blue"], right: true },
  { image: plain(640, 320, [255, 0, 0]), lines: ['<img src=x onerror="alert(1)"> & more'], right: false },
  { image: plain(8, 16, [9, 9, 9]), lines: [] },
];

describe("a grid of pictures", () => {
  it("as PNG has a frame of its verdict round each picture", async () => {
    const png = await pictureGrid({ title: "Three", cells, columns: 2 }).png();
    const { data, info } = await sharp(png).raw().toBuffer({ resolveWithObject: true });
    expect(info.width).toBe(2 * 24 + 2 * 184 + 14);
    const colours = new Map<string, number>();
    for (let i = 0; i < data.length; i += info.channels) {
      const key = [...data.subarray(i, i + 3)].join();
      colours.set(key, (colours.get(key) ?? 0) + 1);
    }
    // Green and orange frames of 4 pixels round boxes of 176, and the blue picture as large as its box.
    const frame = 4 * 180 * 4;
    expect(colours.get("13,107,73")).toBeGreaterThan(frame * 0.95);
    expect(colours.get("194,65,12")).toBeGreaterThan(frame * 0.95);
    expect(colours.get("0,0,255")).toBeGreaterThan(170 * 170);
  });

  it("as a page escapes captions, embeds every picture and says in words what is right", async () => {
    const page = await pictureGrid({ title: "A <b>title</b>", cells }).html();
    expect(page).toContain("A &lt;b&gt;title&lt;/b&gt;");
    expect(page).toContain("&lt;img src=x onerror=");
    expect(page.match(/<img src="data:image\/(?:png|jpeg);base64,/g)).toHaveLength(3);
    expect(page).not.toMatch(/<script|https?:/);
    expect(page).toContain("1 of 2 are right (3 pictures)");
    expect(page).toMatch(/<li class="right">[\s\S]*right: <\/span>blue 90 %/);
    expect(page).toMatch(/<li class="wrong">[\s\S]*wrong: <\/span>&lt;img/);
  });

  it("without pictures says so", async () => {
    const grid = pictureGrid({ title: "None", cells: [] });
    expect(await grid.html()).toContain("There are no pictures.");
    expect((await sharp(await grid.png()).metadata()).width).toBeGreaterThan(100);
  });
});

describe("lettering", () => {
  const style = { size: 12 };

  it("draws letters as outlines, and leaves those it lacks to the machine's fonts", () => {
    expect(svgOf("tabby ✓", 0, 0, style)).toMatch(/^<path d="M[^"]+"\/>$/);
    expect(svgOf("犬 <b>", 3, 4, style)).toBe(
      '<text x="3" y="4" font-family="sans-serif" font-size="12">犬 &lt;b&gt;</text>',
    );
  });

  it("breaks at spaces, inside of words that are too long, and ends in an ellipsis", () => {
    expect(wrap("a word", style, 500, 2)).toEqual(["a word"]);
    expect(wrap("", style, 500, 2)).toEqual([]);
    const lines = wrap("Arabian camel, dromedary, Camelus dromedarius", style, 110, 2);
    expect(lines[0]).toBe("Arabian camel,");
    expect(lines[1]).toMatch(/^dromedary.*…$/);
    for (const line of wrap("x".repeat(100), style, 90, 3)) expect(widthOf(line, style)).toBeLessThan(91);
  });
});
