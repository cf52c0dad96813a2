// What a run that dies at any moment of a save leaves behind, and what is made of it.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  latestCheckpoint,
  listCheckpoints,
  recoverCheckpoints,
  rotateCheckpoints,
  writeCheckpoint,
} from "./checkpoint-folders.js";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "wgrad-folders-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function lay(name: string, text: string): void {
  mkdirSync(join(folder, name), { recursive: true });
  writeFileSync(join(folder, name, "weights"), text);
}
const textOf = (name: string) => readFileSync(join(folder, name, "weights"), "utf8");
const names = () => readdirSync(folder).sort();

describe("recoverCheckpoints", () => {
  it("drops what was being written", async () => {
    lay("checkpoint-5", "whole");
    lay("checkpoint-10.tmp", "half");
    expect(await latestCheckpoint(folder)).toBe(join(folder, "checkpoint-5"));
    expect(names()).toEqual(["checkpoint-5"]);
  });

  it("gives back the name of one that was being replaced", async () => {
    lay("checkpoint-5.old", "before");
    lay("checkpoint-5.tmp", "after");
    expect(await recoverCheckpoints(folder)).toEqual(["checkpoint-5"]);
    expect(textOf("checkpoint-5")).toBe("before");
    expect(names()).toEqual(["checkpoint-5"]);
  });

  it("drops the one that was replaced, and one that was being removed", async () => {
    lay("checkpoint-5", "after");
    lay("checkpoint-5.old", "before");
    lay("checkpoint-2.removed", "half");
    expect(await recoverCheckpoints(folder)).toEqual([]);
    expect(names()).toEqual(["checkpoint-5"]);
    expect(textOf("checkpoint-5")).toBe("after");
  });

  it("takes files and other folders for what they are", async () => {
    lay("checkpoint-best", "mine");
    writeFileSync(join(folder, "checkpoint-3"), "a file");
    await expect(latestCheckpoint(folder)).rejects.toThrow("has no checkpoint to resume from");
    expect(names()).toEqual(["checkpoint-3", "checkpoint-best"]);
  });
});

describe("writeCheckpoint", () => {
  const at = (step: number) => join(folder, `checkpoint-${step}`);
  const write = (step: number, text: string) =>
    writeCheckpoint(at(step), async (draft) => writeFileSync(join(draft, "weights"), text));

  it("replaces one of the same name only when the new one is whole", async () => {
    await write(5, "first");
    const failing = writeCheckpoint(at(5), async (draft) => {
      writeFileSync(join(draft, "weights"), "half");
      expect(textOf("checkpoint-5")).toBe("first");
      throw new Error("the disk is full");
    });
    await expect(failing).rejects.toThrow("the disk is full");
    expect(textOf("checkpoint-5")).toBe("first");
    expect(names()).toEqual(["checkpoint-5"]);
    await write(5, "second");
    expect(textOf("checkpoint-5")).toBe("second");
    expect(names()).toEqual(["checkpoint-5"]);
  });

  it("keeps the newest and the best within the limit, oldest go first", async () => {
    for (const step of [20, 5, 100, 10]) await write(step, String(step));
    await rotateCheckpoints(folder, null, null);
    expect((await listCheckpoints(folder)).length).toBe(4);
    // The path of the best may be that of another place: the folder of the run was moved.
    await rotateCheckpoints(folder, 2, "/elsewhere/checkpoint-5");
    expect(await listCheckpoints(folder)).toEqual([at(5), at(100)]);
    await rotateCheckpoints(folder, 1, at(5));
    expect(await listCheckpoints(folder)).toEqual([at(5), at(100)]);
    await rotateCheckpoints(folder, 1, null);
    expect(await listCheckpoints(folder)).toEqual([at(100)]);
    expect(existsSync(at(5))).toBe(false);
  });
});
