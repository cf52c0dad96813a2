/** What a file is by its first bytes, as far as decoding it needs to know. */
export type FileKind =
  | "jpeg"
  | "cmyk"
  | "png"
  | "grey16"
  | "webp"
  | "gif"
  | "bmp"
  | "tiff"
  | "avif"
  | "unknown";

const starts = (bytes: Uint8Array, text: string, at = 0): boolean => {
  for (let i = 0; i < text.length; i++) if (bytes[at + i] !== text.charCodeAt(i)) return false;
  return true;
};

/** `cmyk`: a JPEG of four components. `grey16`: a PNG of 16-bit grey without alpha. */
export function fileKind(bytes: Uint8Array): FileKind {
  if (bytes[0] === 0xff && bytes[1] === 0xd8 && bytes[2] === 0xff)
    return componentsOfJpeg(bytes) === 4 ? "cmyk" : "jpeg";
  if (starts(bytes, "\x89PNG\r\n\x1a\n"))
    return bytes[24] === 16 && bytes[25] === 0 && !hasTransparency(bytes) ? "grey16" : "png";
  if (starts(bytes, "RIFF") && starts(bytes, "WEBP", 8)) return "webp";
  if (starts(bytes, "GIF8")) return "gif";
  if (starts(bytes, "BM")) return "bmp";
  if (starts(bytes, "II*\0") || starts(bytes, "MM\0*")) return "tiff";
  if (starts(bytes, "ftypavi", 4)) return "avif";
  return "unknown";
}

/** The count in the first frame header. */
function componentsOfJpeg(bytes: Uint8Array): number {
  let at = 2;
  while (at + 9 < bytes.length) {
    if (bytes[at] !== 0xff) return 0;
    const marker = bytes[at + 1] as number;
    // Fill bytes, and markers without a length.
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8)) at += 2;
    else if (marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc)
      return bytes[at + 9] as number;
    else at += 2 + ((bytes[at + 2] as number) << 8) + (bytes[at + 3] as number);
  }
  return 0;
}

/** Whether a PNG has a chunk `tRNS` before its data. */
function hasTransparency(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 8; at + 8 <= bytes.length; at += 12 + view.getUint32(at)) {
    if (starts(bytes, "tRNS", at + 4)) return true;
    if (starts(bytes, "IDAT", at + 4)) return false;
  }
  return false;
}

/** Whether the parts that a PNG or WebP file announces reach beyond its end. False for other formats. */
export function endsEarly(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (starts(bytes, "RIFF")) return bytes.length < 8 || view.getUint32(4, true) + 8 > bytes.length;
  if (!starts(bytes, "\x89PNG")) return false;
  let at = 8;
  while (at + 12 <= bytes.length) {
    if (starts(bytes, "IEND", at + 4)) return false;
    at += 12 + view.getUint32(at);
  }
  return true;
}
