/** What the first bytes of a picture's file say about it, without decoding a pixel. */

/** Size and kind of a picture. */
export interface ImageHeader {
  readonly format: "JPEG" | "PNG" | "GIF" | "WEBP" | "BMP";
  /** In pixels, before any rotation that EXIF asks for. */
  readonly width: number;
  readonly height: number;
  /** Pillow's name of what a pixel is: `L` grey, `RGB`, `RGBA`, `P` palette, `CMYK`, `1` black and white, `LA`, `I;16`. */
  readonly mode: string;
}

/** Modes without colour. */
const GREY = new Set(["1", "L", "LA", "I;16"]);

/** True where the header says that the picture has no colours; what cannot be read is not called grey. */
export function isGreyscale(bytes: Uint8Array): boolean {
  return GREY.has(imageHeader(bytes)?.mode ?? "");
}

/** Reads the header of a JPEG, PNG, GIF, WebP or BMP file; null for another kind, or one that ends before it says. */
export function imageHeader(bytes: Uint8Array): ImageHeader | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  try {
    if (view.getUint16(0) === 0xffd8) return jpeg(view);
    if (view.getUint32(0) === 0x89504e47) return png(view);
    const kind = ascii(view, 0);
    if (kind === "GIF8") return { format: "GIF", ...lowSize(view, 6), mode: "P" };
    if (kind === "RIFF" && ascii(view, 8) === "WEBP") return webp(view);
    if (kind.startsWith("BM")) return bmp(view);
  } catch (thrown) {
    // A DataView refuses to read past the end.
    if (!(thrown instanceof RangeError)) throw thrown;
  }
  return null;
}

const ascii = (view: DataView, at: number): string =>
  String.fromCharCode(...[0, 1, 2, 3].map((i) => view.getUint8(at + i)));

const lowSize = (view: DataView, at: number) => ({
  width: view.getUint16(at, true),
  height: view.getUint16(at + 2, true),
});

const JPEG_MODES: Readonly<Record<number, string>> = { 1: "L", 3: "RGB", 4: "CMYK" };

/** Segments up to the start of a frame, which tells the size and the number of components. */
function jpeg(view: DataView): ImageHeader | null {
  let at = 2;
  for (;;) {
    while (view.getUint8(at) !== 0xff) at++;
    while (view.getUint8(at) === 0xff) at++;
    const marker = view.getUint8(at++);
    // SOF0 … SOF15, of which three numbers mean something else.
    if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc) {
      const mode = JPEG_MODES[view.getUint8(at + 7)];
      if (mode === undefined) return null;
      return { format: "JPEG", width: view.getUint16(at + 5), height: view.getUint16(at + 3), mode };
    }
    // The data begin: there was no frame.
    if (marker === 0xda || marker === 0xd9) return null;
    const isAlone = marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);
    if (!isAlone) at += view.getUint16(at);
  }
}

function png(view: DataView): ImageHeader | null {
  const [depth, color] = [view.getUint8(24), view.getUint8(25)];
  const grey = depth === 1 ? "1" : depth === 16 ? "I;16" : "L";
  const mode = { 0: grey, 2: "RGB", 3: "P", 4: "LA", 6: "RGBA" }[color];
  return mode === undefined
    ? null
    : { format: "PNG", width: view.getUint32(16), height: view.getUint32(20), mode };
}

function webp(view: DataView): ImageHeader | null {
  const three = (at: number): number => view.getUint16(at, true) + view.getUint8(at + 2) * 65536;
  switch (ascii(view, 12)) {
    case "VP8X":
      return {
        format: "WEBP",
        width: three(24) + 1,
        height: three(27) + 1,
        mode: view.getUint8(20) & 0x10 ? "RGBA" : "RGB",
      };
    case "VP8L": {
      const bits = view.getUint32(21, true);
      const mode = (bits >>> 28) & 1 ? "RGBA" : "RGB";
      return { format: "WEBP", width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1, mode };
    }
    case "VP8 ": {
      const { width, height } = lowSize(view, 26);
      return { format: "WEBP", width: width & 0x3fff, height: height & 0x3fff, mode: "RGB" };
    }
    default:
      return null;
  }
}

function bmp(view: DataView): ImageHeader {
  const isOld = view.getUint32(14, true) === 12;
  const bits = view.getUint16(isOld ? 24 : 28, true);
  const mode = bits === 1 ? "1" : bits <= 8 ? "P" : "RGB";
  if (isOld) return { format: "BMP", ...lowSize(view, 18), mode };
  return {
    format: "BMP",
    width: view.getInt32(18, true),
    height: Math.abs(view.getInt32(22, true)),
    mode,
  };
}
