/**
 * PyTorch's values for single operations, for tests in Node. They are not part of the repository: tests look for them in
 * the folder that the environment variable `WGRAD_SHARED` names, else in `../shared` beside the repository, and are skipped
 * where they are missing.
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect } from "vitest";
import type { Device } from "../device/device.js";
import { verifyOps } from "../verify/ops.js";

const folder = resolve(process.env.WGRAD_SHARED!, "fixtures/ops");

/** True if the reference values are not on this machine. */
export const fixturesMissing = !existsSync(resolve(folder, "index.json"));

/** Expects every case of an operation (PyTorch's name) to pass on `device`, forward and backward. */
export async function expectFixtures(device: Device, op: string): Promise<void> {
  const index: unknown = JSON.parse(readFileSync(resolve(folder, "index.json"), "utf8"));
  const load = (file: string) => readFileSync(resolve(folder, file));
  const [report] = await verifyOps(device, { index, load }, { only: [op] });
  expect(report!.failures).toEqual([]);
  expect(report!.passed).toBe(report!.cases);
}
