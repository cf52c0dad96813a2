// A training run that is killed goes on to the same bits, also when it died while writing a checkpoint. Twenty kills: bench/resume.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { differences, lastSaved, leftBehind, leg, sameLog } from "../bench/resume/chain.mjs";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "wgrad-resume-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("a run killed with SIGKILL", () => {
  it("goes on from its newest whole checkpoint with the same bits, and its log with the same lines", {
    timeout: 900_000,
  }, async () => {
    const [whole, chain] = [join(folder, "whole"), join(folder, "chain")];
    await leg([whole, "10", "3", "keep"], null);
    // In the middle of a step, then in the middle of the checkpoint of step 6.
    const first = await leg([chain, "10", "3"], { on: "step 5", count: 1, delay: 3 });
    expect(first.killed).toBe(true);
    expect(lastSaved(first.lines)).toBe(3);
    expect(leftBehind(chain).steps).toEqual([3]);
    expect(differences(chain, whole, 3)).toEqual([]);
    const second = await leg([chain, "10", "3"], { on: "saving 6", count: 1, delay: 0 });
    expect(second.killed).toBe(true);
    expect(second.lines[0]).toBe("resuming");
    // What a kill in the middle of a write leaves, whether or not this one was early enough.
    mkdirSync(join(chain, "checkpoint-9.tmp"), { recursive: true });
    writeFileSync(join(chain, "checkpoint-9.tmp", "model.safetensors"), "half");
    const last = await leg([chain, "10", "3"], null);
    expect(last.lines.at(-1)).toBe("done");
    expect(leftBehind(chain)).toEqual({ steps: [9, 10], others: [] });
    expect(differences(chain, whole, 10)).toEqual([]);
    expect(sameLog(chain, whole)).toBe(true);
  });
});
