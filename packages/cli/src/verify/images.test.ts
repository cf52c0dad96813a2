import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import type { ReportRow } from "./compare.js";
import { verifyImages } from "./images.js";

const shipped = fileURLToPath(new URL("../../fixtures/images", import.meta.url));

async function rowsOf(
  folder: string,
): Promise<Record<string, Pick<ReportRow, "passed" | "failed" | "skipped">>> {
  const rows: ReportRow[] = [];
  await verifyImages(folder, (row) => rows.push(row));
  return Object.fromEntries(
    rows.map(({ name, passed, failed, skipped }) => [name, { passed, failed, skipped }]),
  );
}

it("finds the shipped pictures right", async () => {
  expect(await rowsOf(shipped)).toEqual({
    "files decoded, lossless": { passed: 4, failed: 0, skipped: 0 },
    "files decoded, JPEG and lossy WebP": { passed: 1, failed: 0, skipped: 0 },
    "resized and cropped": { passed: 1, failed: 0, skipped: 0 },
    "pixel values": { passed: 1, failed: 0, skipped: 0 },
    "damaged files refused": { passed: 3, failed: 0, skipped: 0 },
  });
});

it("counts another picture, a broken one and one that is not refused as failures", async () => {
  const folder = await mkdtemp(join(tmpdir(), "wgrad-images-"));
  try {
    await cp(shipped, folder, { recursive: true });
    const file = (name: string): string => join(folder, "files", name);
    await cp(file("tiny_5x3.png"), file("bilevel.png"));
    await cp(file("tiny_5x3.png"), file("empty.png"));
    await writeFile(file("tiny0.jpg"), "");
    expect(await rowsOf(folder)).toMatchObject({
      "files decoded, lossless": { passed: 3, failed: 1 },
      "files decoded, JPEG and lossy WebP": { failed: 1 },
      "damaged files refused": { passed: 2, failed: 1 },
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
