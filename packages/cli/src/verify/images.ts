import { join } from "node:path";
import { applyTransforms, type DecodeOptions, ImageError, type RawImage } from "@wgrad/image";
import { decodeImage } from "@wgrad/image/node";
import { CLIPImageProcessor } from "@wgrad/models";
import { type CaseResult, type ReportRow, rowOf, runCase, type Tolerance } from "./compare.js";
import { readCases, StoredTensors } from "./files.js";

/** A picture as it is to come out, by the names of its tensors. Some sets leave `out` away. */
interface Wanted {
  decoded: string;
  out?: string;
  pixel_values?: string;
}

interface ImageCase extends Partial<Wanted> {
  file: string;
  bad?: boolean;
  format?: string;
  note?: string;
  exif_transposed?: Wanted;
  composited_on_white?: Wanted;
}

interface ImageIndex {
  file: string;
  processor: Record<string, unknown>;
  images: ImageCase[];
}

/** Resampling follows Pillow's fixed-point arithmetic, and files without loss have one content: no level of difference. */
const exact: Tolerance = { rtol: 0, atol: 0 };
/** Mean difference in levels: decoders of JPEG and lossy WebP may differ by rounding, and in how they enlarge the colours. */
const lossy: Tolerance = { rtol: 0, atol: 1 };
/** Float32 against float32, values up to 2.7. */
const normalised: Tolerance = { rtol: 0, atol: 1e-6 };

/** Transformers 4's reading of a file, which the plain entries hold: no orientation, alpha dropped. */
const plain: DecodeOptions = { orientation: false, transparency: "drop" };

/** Rows of the report in their order. */
const ROWS = {
  lossless: "files decoded, lossless",
  lossy: "files decoded, JPEG and lossy WebP",
  exif: "files turned by EXIF",
  white: "files with alpha on white",
  resized: "resized and cropped",
  pixels: "pixel values",
  bad: "damaged files refused",
} as const;

/** Files decoded, resized, cropped and normalised as Pillow and transformers do it; damaged ones refused. */
export async function verifyImages(folder: string, onRow: (row: ReportRow) => void): Promise<void> {
  const index = await readCases<ImageIndex>(join(folder, "index.json"));
  const stored = await StoredTensors.open(join(folder, index.file));
  const processor = CLIPImageProcessor.fromJson(
    // The reference writes the filter with its name beside its number.
    {
      ...index.processor,
      resample: Number.parseInt(/\d/.exec(String(index.processor.resample))?.[0] ?? "3", 10),
    },
    join(folder, "index.json"),
  );
  const wantedImage = (name: string): RawImage => {
    const [height = 0, width = 0] = stored.shape(name);
    return { data: Uint8Array.from(stored.ints(name)), width, height };
  };

  const rows: Record<keyof typeof ROWS, CaseResult[]> = {
    lossless: [],
    lossy: [],
    exif: [],
    white: [],
    resized: [],
    pixels: [],
    bad: [],
  };

  for (const one of index.images) {
    const path = join(folder, one.file);
    const name = one.file.replace(/^files\//, "");
    if (one.bad) {
      rows.bad.push(await runCase(name, (check) => refused(path, check.fail.bind(check))));
      continue;
    }
    const isLossy =
      one.format === "JPEG" || (one.format === "WEBP" && /\blossy\b/i.test(`${one.note} ${one.file}`));
    const entries: [Wanted | undefined, keyof typeof ROWS, DecodeOptions, string][] = [
      [one as Wanted, isLossy ? "lossy" : "lossless", plain, name],
      [one.exif_transposed, "exif", { ...plain, orientation: true }, name],
      [one.composited_on_white, "white", { ...plain, transparency: "white" }, name],
    ];
    for (const [entry, row, options, label] of entries) {
      if (!entry) continue;
      const want = wantedImage(entry.decoded);
      rows[row].push(
        await runCase(label, async (check) => {
          const got = await decodeImage(path, options);
          check.equal("width x height", `${got.width}x${got.height}`, `${want.width}x${want.height}`);
          if (isLossy) check.close("mean difference", [meanDifference(got.data, want.data)], [0], lossy);
          else check.close("pixels", got.data, want.data, exact);
        }),
      );
      const { out } = entry;
      if (out === undefined) continue;
      const case_ = `${label}${row === "exif" || row === "white" ? ` (${row})` : ""}`;
      rows.resized.push(
        await runCase(case_, (check) => {
          const got = applyTransforms(want, processor.transforms, () => 0);
          check.equal("shape", `${got.height},${got.width},3`, stored.shape(out).join(","));
          check.close("pixels", got.data, stored.ints(out), exact);
        }),
      );
      rows.pixels.push(
        await runCase(case_, (check) => {
          const { pixelValues } = processor.preprocess(want);
          const { pixel_values: values } = entry;
          const wanted =
            values === undefined ? normalise(stored.ints(out), processor) : stored.floats(values);
          check.close("pixel_values", pixelValues, wanted, normalised);
        }),
      );
    }
  }
  for (const [key, cases] of Object.entries(rows))
    if (cases.length > 0) onRow(rowOf("images", ROWS[key as keyof typeof ROWS], cases));
}

async function refused(path: string, fail: (message: string) => void): Promise<void> {
  try {
    const { width, height } = await decodeImage(path);
    fail(`decoded to ${width}x${height} pixels, expected an error.`);
  } catch (error) {
    if (!(error instanceof ImageError)) throw error;
  }
}

function meanDifference(got: ArrayLike<number>, want: ArrayLike<number>): number {
  if (got.length !== want.length) return Number.NaN;
  let sum = 0;
  for (let i = 0; i < want.length; i++) sum += Math.abs((got[i] as number) - (want[i] as number));
  return sum / want.length;
}

/** `[H, W, 3]` bytes to `[3, H, W]`, each step as the processor's file says. */
function normalise(bytes: ArrayLike<number>, processor: CLIPImageProcessor): Float32Array {
  const { rescaleFactor, mean, std } = processor.normalization;
  const size = bytes.length / 3;
  return Float32Array.from({ length: bytes.length }, (_, i) => {
    const c = Math.floor(i / size);
    return ((bytes[(i % size) * 3 + c] as number) * rescaleFactor - (mean[c] as number)) / (std[c] as number);
  });
}
