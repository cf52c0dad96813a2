/** Pictures with captions in a grid, framed by whether what was said of them is right: as a PNG and as a page of HTML. */
import type { RawImage } from "@wgrad/image";
import sharp from "sharp";
import { formatCount } from "../ui.js";
import { html } from "./html.js";
import { svgOf, type TextStyle, wrap } from "./lettering.js";
import { fillPage } from "./page.js";
import { columnsOf, type EmbeddedPicture, type PictureCaption, picturesHtml, verdictOf } from "./pictures.js";

/** A picture with what is said of it. */
export interface GridCell extends PictureCaption {
  image: RawImage;
}

/** What {@link pictureGrid} shows. */
export interface PictureGridOptions {
  title: string;
  /** Below the title; default: how many are right, where that is known. */
  subtitle?: string;
  cells: readonly GridCell[];
  /** Beside each other, where there is room. Default 4 to 8. */
  columns?: number;
}

/** A grid of pictures. */
export interface PictureGrid {
  /** @returns a PNG. Its text needs no font of the machine. */
  png(): Promise<Uint8Array>;
  /** @returns a page that needs nothing else, light or dark with the reader's system */
  html(): Promise<string>;
}

/** A grid of pictures with captions; the frames of right ones are green with a ✓, of wrong ones orange with a ✗. */
export function pictureGrid(options: PictureGridOptions): PictureGrid {
  return {
    png: () => drawGrid(options),
    html: async () =>
      fillPage({
        kind: "wgrad pictures",
        title: options.title,
        subtitle: subtitleOf(options),
        content: html`<section>${picturesHtml(await embedPictures(options.cells), options.columns)}</section>`,
      }),
  };
}

/** `12 of 64 are right` */
function subtitleOf({ subtitle, cells }: PictureGridOptions): string {
  if (subtitle !== undefined) return subtitle;
  const judged = cells.filter(({ right }) => right !== undefined);
  const right = judged.filter((cell) => cell.right).length;
  const pictures = `${formatCount(cells.length)} ${cells.length === 1 ? "picture" : "pictures"}`;
  return judged.length === 0
    ? pictures
    : `${formatCount(right)} of ${formatCount(judged.length)} are right${judged.length < cells.length ? ` (${pictures})` : ""}`;
}

const MARKS = { right: "✓", wrong: "✗" } as const;

// ---- HTML

/** The longest side of a picture in a page. */
const EMBEDDED = 320;

/** Pictures as a page can hold them: photographs become small JPEGs, what is small already stays as it is. */
export function embedPictures(cells: readonly GridCell[]): Promise<EmbeddedPicture[]> {
  return Promise.all(
    cells.map(async ({ image, lines, right }) => ({
      src: await embedded(image),
      tiny: isTiny(image),
      lines,
      ...(right === undefined ? {} : { right }),
    })),
  );
}

/** A picture as the address of itself. */
async function embedded(image: RawImage): Promise<string> {
  const { width, height } = image;
  if (Math.max(width, height) <= EMBEDDED / 2)
    return `data:image/png;base64,${(await open(image).png().toBuffer()).toString("base64")}`;
  const small = open(image).resize(EMBEDDED, EMBEDDED, { fit: "inside", withoutEnlargement: true });
  return `data:image/jpeg;base64,${(await small.jpeg({ quality: 86 }).toBuffer()).toString("base64")}`;
}

function open({ data, width, height }: RawImage): sharp.Sharp {
  return sharp(data, { raw: { width, height, channels: 3 } });
}

/** Whether its pixels are better seen than smoothed. */
function isTiny({ width, height }: RawImage): boolean {
  return Math.max(width, height) * 3 <= BOX;
}

// ---- PNG

const BOX = 176;
const FRAME = 4;
const GAP = 14;
const MARGIN = 24;
const FIRST: TextStyle = { size: 13, bold: true };
const REST: TextStyle = { size: 12 };
const LINE = 17;
/** Lines that a caption may take. */
const MOST_LINES = 2;
const TITLE: TextStyle = { size: 21, bold: true };
const SUBTITLE: TextStyle = { size: 14 };
const COLOURS = {
  ground: "#ffffff",
  ink: "#16150f",
  soft: "#55534b",
  mat: "#ecebe6",
  right: "#0d6b49",
  wrong: "#c2410c",
  open: "#b3b1a6",
} as const;

async function drawGrid(options: PictureGridOptions): Promise<Uint8Array> {
  const { cells } = options;
  const columns = cells.length === 0 ? 1 : columnsOf(cells.length, options.columns);
  const outer = BOX + 2 * FRAME;
  const width = Math.max(420, 2 * MARGIN + columns * outer + (columns - 1) * GAP);
  const head = headOf(options, width - 2 * MARGIN);
  const captions = cells.map((cell) => captionOf(cell, outer));
  const parts: string[] = [head.svg];
  const layers: sharp.OverlayOptions[] = [];
  let top = head.height;
  for (let begin = 0; begin < cells.length; begin += columns) {
    const row = cells.slice(begin, begin + columns);
    const pictures = await Promise.all(row.map(({ image }) => boxed(image)));
    row.forEach((cell, i) => {
      const left = MARGIN + i * (outer + GAP);
      const verdict = verdictOf(cell);
      layers.push({ input: pictures[i]!, left: left + FRAME, top: top + FRAME });
      parts.push(
        `<rect x="${left + FRAME / 2}" y="${top + FRAME / 2}" width="${outer - FRAME}" height="${outer - FRAME}" rx="3" fill="none" stroke="${COLOURS[verdict]}" stroke-width="${FRAME}"/>`,
      );
      captions[begin + i]!.forEach(({ text, style, colour }, k) => {
        parts.push(
          `<g fill="${colour}">${svgOf(text, left + 1, top + outer + (k + 1) * LINE - 2, style)}</g>`,
        );
      });
    });
    const lines = Math.max(...captions.slice(begin, begin + columns).map((caption) => caption.length));
    top += outer + lines * LINE + GAP;
  }
  const height = Math.max(top, 80) + MARGIN - GAP;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">${parts.join("")}</svg>`;
  return sharp({ create: { width, height, channels: 3, background: COLOURS.ground } })
    .composite([...layers, { input: Buffer.from(svg), left: 0, top: 0 }])
    .png({ compressionLevel: 9 })
    .toBuffer();
}

function headOf(options: PictureGridOptions, width: number): { svg: string; height: number } {
  let y = MARGIN;
  let svg = "";
  const put = (text: string, style: TextStyle, colour: string, most: number, line: number) => {
    for (const part of wrap(text, style, width, most)) {
      y += line;
      svg += `<g fill="${colour}">${svgOf(part, MARGIN, y - 6, style)}</g>`;
    }
  };
  put(options.title, TITLE, COLOURS.ink, 3, 28);
  put(subtitleOf(options), SUBTITLE, COLOURS.soft, 2, 21);
  return { svg, height: y + 14 };
}

interface Caption {
  text: string;
  style: TextStyle;
  colour: string;
}

function captionOf(cell: GridCell, width: number): Caption[] {
  const verdict = verdictOf(cell);
  return cell.lines.flatMap((line, i) => {
    const style = i === 0 ? FIRST : REST;
    const colour = i > 0 ? COLOURS.soft : verdict === "open" ? COLOURS.ink : COLOURS[verdict];
    const text = i === 0 && verdict !== "open" ? `${MARKS[verdict]}\u00a0${line}` : line;
    return wrap(text, style, width - 2, MOST_LINES).map((part) => ({ text: part, style, colour }));
  });
}

/** A picture, whole, in a box of {@link BOX} pixels. */
function boxed(image: RawImage): Promise<Buffer> {
  return open(image)
    .resize(BOX, BOX, {
      fit: "contain",
      background: COLOURS.mat,
      kernel: isTiny(image) ? "nearest" : "lanczos3",
    })
    .png({ compressionLevel: 1 })
    .toBuffer();
}
