/**
 * Every operation against PyTorch's values, forward and backward, on the machine's adapter and on one with WebGPU's guaranteed
 * limits only (256 invocations, 16 KiB of workgroup memory, no f16, no subgroups). A small set ships with the package; the
 * full one lies in the shared folder, which WGRAD_SHARED names (else ../shared) and which may be missing.
 */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { type Device, type OpIndex, verifyOps } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = resolve(import.meta.dirname, "..");
const sets = {
  shipped: resolve(root, "packages/cli/fixtures/ops"),
  full: resolve(process.env.WGRAD_SHARED!, "fixtures/ops"),
};
const adapters = {
  "all the adapter offers": {},
  "guaranteed limits only": { limits: "default", features: [] },
} as const;

for (const [set, folder] of Object.entries(sets)) {
  const missing = !existsSync(resolve(folder, "index.json"));
  const index: OpIndex = missing
    ? { ops: {} }
    : JSON.parse(readFileSync(resolve(folder, "index.json"), "utf8"));
  for (const [adapter, options] of Object.entries(adapters)) {
    describe.skipIf(missing)(`${set} reference cases, ${adapter}${missing ? ` (no ${folder})` : ""}`, () => {
      let device: Device;
      beforeAll(async () => {
        device = await openDevice(options);
      });
      afterAll(() => device.close());

      it.each(Object.keys(index.ops))("%s", async (op) => {
        const load = (file: string) => readFileSync(resolve(folder, file));
        const [report] = await verifyOps(device, { index, load }, { only: [op] });
        expect(report?.failures).toEqual([]);
        expect(report?.passed).toBe(index.ops[op]?.cases.length);
      });

      it("has every operation of the set, and leaves no tensor behind", () => {
        expect(Object.keys(index.ops)).toHaveLength(70);
        expect(device.memory()).toMatchObject({ liveTensors: 0, liveBuffers: 0 });
      });
    });
    if (missing) it.skip(`${set} reference cases: ${folder} is not there; set WGRAD_SHARED`, () => {});
  }
}
