import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { DatasetError, reason } from "./errors.js";

/**
 * The UTF-8 bytes of a text file, without a byte order mark; `.gz` is unpacked, UTF-16 with its mark is converted.
 * @throws DatasetError E_FILE_NOT_FOUND, E_FILE_READ, E_ENCODING
 */
export function readTextBytes(path: string): Buffer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path);
    if (path.endsWith(".gz")) bytes = gunzipSync(bytes);
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    if (code === "ENOENT") {
      throw new DatasetError({
        code: "E_FILE_NOT_FOUND",
        where: path,
        message: "there is no such file.",
        fix: "Check the path.",
      });
    }
    const tooLarge = code === "ERR_FS_FILE_TOO_LARGE";
    throw new DatasetError({
      code: "E_FILE_READ",
      where: path,
      message: `it cannot be read (${reason(cause)}).`,
      fix: tooLarge
        ? "Text files are read whole: split it into several, or write it as Parquet."
        : "Check that it is whole and that you may read it.",
      cause,
    });
  }
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return Buffer.from(bytes.subarray(2).toString("utf16le"));
  if (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf) bytes = bytes.subarray(3);
  if (!isUtf8(bytes)) throw notUtf8(path, bytes);
  return bytes;
}

/** Names the first line that is not UTF-8. */
function notUtf8(path: string, bytes: Buffer): DatasetError {
  let line = 1;
  let start = 0;
  for (;;) {
    const end = bytes.indexOf(10, start);
    const part = bytes.subarray(start, end < 0 ? bytes.length : end);
    if (!isUtf8(part) || end < 0) {
      return new DatasetError({
        code: "E_ENCODING",
        where: path,
        message: `line ${line} is not UTF-8.`,
        fix: "Save the file as UTF-8, for example: iconv -f WINDOWS-1252 -t UTF-8 old.csv > new.csv",
        detail: { line },
      });
    }
    start = end + 1;
    line++;
  }
}
