import { describe, expect, it } from "vitest";
import type { Device } from "../device/device.js";
import { checkEntry, describeWorst } from "../lab/check.js";
import type { LabEntry } from "../lab/entry.js";

/** Tests that every step of the ladders gives the reference's numbers for every check shape, on each device. */
export function testLadders(
  entries: readonly LabEntry[],
  devices: readonly { readonly name: string; readonly device: Device }[],
): void {
  for (const { name, device } of devices) {
    describe(`every step of its ladder with ${name}`, () => {
      for (const entry of entries) {
        it(entry.ladder.op, async () => {
          const results = await checkEntry(device, entry);
          const wrong = results.filter(({ status }) => status === "failed");
          expect(wrong.map((r) => `${r.step} ${r.shape}: ${r.reason ?? describeWorst(r)}`)).toEqual([]);
          expect(results.filter(({ status }) => status === "passed").length).toBeGreaterThan(0);
        });
      }
    });
  }
}
