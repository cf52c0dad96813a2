import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { DatasetError } from "../errors.js";

/** An empty folder that is gone after the test. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-datasets-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file of the shared test data, or undefined where it is not there. */
export function sharedData(path: string): string | undefined {
  const found = join(process.env.WGRAD_SHARED!, "data", path);
  return existsSync(found) ? found : undefined;
}

/** The DatasetError that a call throws. */
export function thrownBy(call: () => unknown): DatasetError {
  try {
    call();
  } catch (thrown) {
    if (thrown instanceof DatasetError) return thrown;
    throw thrown;
  }
  throw new Error("the call threw nothing");
}
