/** What `wgrad inspect` says about a column of pictures: from the headers of their files, without decoding one. */
import {
  type Dataset,
  type EncodedImage,
  Image,
  type ImageHeader,
  imageBytes,
  imageHeader,
  isEncodedImage,
} from "@wgrad/datasets";
import { formatCount } from "../ui.js";

/** Pictures whose headers are read, spread over a split: their files may be many. */
const MOST_LOOKED_AT = 20_000;

/** Pictures of a split. */
export interface ImageStatistics {
  /** How many were looked at. */
  pictures: number;
  /** Pictures by width x height, by Pillow's mode and by format, the most frequent first. */
  sizes: Record<string, number>;
  modes: Record<string, number>;
  formats: Record<string, number>;
  /** Bytes of their files. */
  bytes: { smallest: number; mean: number; largest: number };
  /** Rows without a picture, and files that are gone or no picture by their header. */
  missing: number;
  unreadable: number;
}

/** The first column of pictures, null for none. */
export function imageColumnOf(dataset: Dataset): string | null {
  return dataset.columnNames.find((name) => dataset.features[name] instanceof Image) ?? null;
}

/** Counts sizes, modes and formats of a column of pictures. @param look called for each that was looked at */
export function imageStatistics(
  dataset: Dataset,
  column: string,
  look: (pictures: number) => void = () => {},
): ImageStatistics {
  const step = Math.max(1, Math.ceil(dataset.numRows / MOST_LOOKED_AT));
  const rows = dataset.selectColumns([column]);
  const [sizes, modes, formats] = [new Map(), new Map(), new Map()] as Map<string, number>[];
  const add = (counts: Map<string, number>, key: string) => counts.set(key, (counts.get(key) ?? 0) + 1);
  let [pictures, missing, unreadable, total, largest] = [0, 0, 0, 0, 0];
  let smallest = Number.POSITIVE_INFINITY;
  for (let row = 0; row < dataset.numRows; row += step) {
    pictures++;
    look(pictures);
    const value = rows.at(row)[column];
    if (!isEncodedImage(value)) {
      missing++;
      continue;
    }
    const found = headerOf(value);
    if (found === null) {
      unreadable++;
      continue;
    }
    const { header, bytes } = found;
    add(sizes!, `${header.width} x ${header.height}`);
    add(modes!, header.mode);
    add(formats!, header.format);
    total += bytes;
    smallest = Math.min(smallest, bytes);
    largest = Math.max(largest, bytes);
  }
  const read = pictures - missing - unreadable;
  return {
    pictures,
    sizes: sorted(sizes!),
    modes: sorted(modes!),
    formats: sorted(formats!),
    bytes: { smallest: read > 0 ? smallest : 0, mean: read > 0 ? Math.round(total / read) : 0, largest },
    missing,
    unreadable,
  };
}

function headerOf(image: EncodedImage): { header: ImageHeader; bytes: number } | null {
  try {
    const bytes = imageBytes(image);
    const header = imageHeader(bytes);
    return header === null ? null : { header, bytes: bytes.length };
  } catch {
    return null;
  }
}

function sorted(counts: ReadonlyMap<string, number>): Record<string, number> {
  return Object.fromEntries([...counts].sort((a, b) => b[1] - a[1]));
}

/** Lines for a terminal. */
export function formatImageStatistics(column: string, rows: number, found: ImageStatistics): string[] {
  const list = (counts: Readonly<Record<string, number>>): string => {
    const parts = Object.entries(counts).map(([name, count]) => `${name} (${formatCount(count)})`);
    return parts.slice(0, 6).join(", ") + (parts.length > 6 ? `, … ${parts.length} in all` : "");
  };
  const { smallest, mean, largest } = found.bytes;
  const looked = found.pictures < rows ? ` (${formatCount(found.pictures)} of them looked at)` : "";
  const lines = [
    `${column}${looked}: ${list(found.sizes) || "no picture can be read"}; mode ${list(found.modes) || "-"}; ${list(found.formats) || "-"}`,
    `${column}: ${formatCount(smallest)} to ${formatCount(largest)} bytes, mean ${formatCount(mean)}`,
  ];
  if (found.missing > 0) lines.push(`${formatCount(found.missing)} rows have no picture`);
  if (found.unreadable > 0) lines.push(`${formatCount(found.unreadable)} pictures cannot be read`);
  return lines;
}

/** A picture in an example row: what its header says in place of its bytes. */
export function describeImage(value: unknown): Record<string, unknown> | null {
  if (!isEncodedImage(value)) return null;
  const found = headerOf(value);
  const path = value.path === null ? {} : { path: value.path };
  if (found === null) return { ...path, unreadable: true };
  const { format, width, height, mode } = found.header;
  return { ...path, format, width, height, mode, bytes: found.bytes };
}
