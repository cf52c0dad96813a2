import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Device } from "../../device/device.js";
import { checkEntry, checkOwnKernel } from "../../lab/index.js";
import { openDevice } from "../../node.js";
import { entries as norms } from "../grad-norm/lab.js";
import naive from "./1-naive.wgsl";
import { entries } from "./lab.js";

describe.each([
  ["the adapter", {}],
  ["an adapter with 8 storage buffers", { limits: "default", features: [] }],
] as const)("AdamW, gradient norm and clip on %s", (_name, options) => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice(options);
  });
  afterAll(() => device.close());

  it.each([...entries, ...norms].map((entry) => [entry.ladder.op, entry] as const))(
    "%s: every step agrees with the reference on every shape",
    async (_op, entry) => {
      const results = await checkEntry(device, entry);
      expect(results.filter(({ status }) => status !== "passed")).toEqual([]);
    },
  );
});

describe("a kernel of one's own for adamw", () => {
  let device: Device;
  beforeAll(async () => {
    device = await openDevice();
  });
  afterAll(() => device.close());

  it("made from the template passes; without the bias correction it is refused", async () => {
    const entry = entries[0]!;
    const shapes = ["1+4+5+64+257+3+1000"];
    const right = await checkOwnKernel(
      device,
      entry,
      { name: "mine.wgsl", source: entry.contract.template },
      { shapes },
    );
    expect(right).toMatchObject({ ok: true, passed: 1 });
    const source = naive.replace("* step.inverse_root", "");
    const wrong = await checkOwnKernel(device, entry, { name: "wrong.wgsl", source }, { shapes });
    expect(wrong.ok).toBe(false);
    expect(wrong.failed).toHaveLength(1);
  });
});
