import type * as FsPromises from "node:fs/promises";
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bytesOf, float32View, readSafetensors, toFloat32, writeSafetensors } from "@wgrad/tensor";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { FileError } from "./errors.js";
import {
  openSafetensors,
  openWeights,
  readJsonFile,
  readTextIfThere,
  saveSafetensors,
  saveWeights,
  type TensorSource,
  writeConfigFile,
  writeFileAtomic,
} from "./files.js";

/** Bytes that may still be written before the "disk" is full. */
const disk = vi.hoisted(() => ({ free: Number.POSITIVE_INFINITY }));

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof FsPromises>();
  const open: typeof real.open = async (...args) => {
    const handle = await real.open(...args);
    const write = handle.write.bind(handle) as (
      b: Uint8Array,
      o: number,
      l: number,
    ) => Promise<{ bytesWritten: number }>;
    Object.defineProperty(handle, "write", {
      value: async (bytes: Uint8Array, offset: number, length: number) => {
        if (disk.free <= 0)
          throw Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC" });
        const { bytesWritten } = await write(bytes, offset, Math.min(length, disk.free));
        disk.free -= bytesWritten;
        return { bytesWritten };
      },
    });
    return handle;
  };
  return { ...real, open };
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "wgrad-files-"));
});
afterEach(async () => {
  disk.free = Number.POSITIVE_INFINITY;
  await rm(folder, { recursive: true, force: true });
});

const source = (name: string, values: number[]): TensorSource => ({
  name,
  ...float32View(new Float32Array(values), [values.length]),
});
const numbers = async (path: string, name: string) => [
  ...toFloat32(readSafetensors(await readFile(path)).get(name)),
];

async function failure(act: () => Promise<unknown>): Promise<Error & { code?: string }> {
  try {
    await act();
  } catch (error) {
    return error as Error;
  }
  throw new Error("expected a failure");
}

describe("writeFileAtomic", () => {
  it("writes and replaces, makes folders, leaves nothing else", async () => {
    const path = join(folder, "a/b/c.json");
    await writeFileAtomic(path, "one");
    await writeFileAtomic(path, new TextEncoder().encode("two"));
    await writeFileAtomic(path, [new Uint8Array([104]), new Uint8Array([105])]);
    expect(await readFile(path, "utf8")).toBe("hi");
    expect(await readdir(join(folder, "a/b"))).toEqual(["c.json"]);
  });

  it("a full disk leaves the old file and no other", async () => {
    const path = join(folder, "model.bin");
    await writeFileAtomic(path, "old");
    disk.free = 5;
    const error = await failure(() => writeFileAtomic(path, "longer than that"));
    expect(error).toBeInstanceOf(FileError);
    expect(error.code).toBe("E_FILE_FULL");
    expect(error.message).toContain(path);
    expect(error.message).toMatch(
      /disk is full: writing needs 16 bytes.*are free\. The file that was there is unchanged\. Make room/,
    );
    expect(await readFile(path, "utf8")).toBe("old");
    expect(await readdir(folder)).toEqual(["model.bin"]);
  });

  it("says so when there was no file before", async () => {
    disk.free = 0;
    const error = await failure(() => writeFileAtomic(join(folder, "new.txt"), "x"));
    expect(error.message).toContain("No file was left behind.");
    expect(await readdir(folder)).toEqual([]);
  });

  it("a place that cannot be written, and a content that fails", async () => {
    await writeFile(join(folder, "file"), "");
    const blocked = await failure(() => writeFileAtomic(join(folder, "file/below"), "x"));
    expect(blocked).toMatchObject({ code: "E_FILE_WRITE" });
    await mkdir(join(folder, "taken"));
    expect(await failure(() => writeFileAtomic(join(folder, "taken"), "x"))).toMatchObject({
      code: "E_FILE_WRITE",
    });
    const lost = new Error("device lost");
    const content = (async function* () {
      yield new Uint8Array(3);
      throw lost;
    })();
    expect(await failure(() => writeFileAtomic(join(folder, "half"), content))).toBe(lost);
    expect((await readdir(folder)).sort()).toEqual(["file", "taken"]);
  });
});

describe("writeConfigFile", () => {
  it("writes whole numbers with a point where transformers wants floats, and nothing else so", async () => {
    const config = {
      initializer_factor: 1,
      hidden_size: 8,
      text_config: { layer_norm_eps: 1e-5, initializer_factor: 2 },
    };
    const note = '"initializer_factor": 1';
    await writeConfigFile(join(folder, "config.json"), { ...config, note });
    const text = await readFile(join(folder, "config.json"), "utf8");
    expect(text.match(/\d+\.0\b/g)).toEqual(["1.0", "2.0"]);
    expect(JSON.parse(text)).toEqual({ ...config, note });
  });
});

describe("reading text", () => {
  it("tells missing from broken", async () => {
    expect(await readTextIfThere(join(folder, "no"))).toBeUndefined();
    expect(await failure(() => readTextIfThere(folder))).toMatchObject({ code: "E_FILE_READ" });
    await writeFile(join(folder, "x.json"), "{");
    expect((await failure(() => readJsonFile(join(folder, "x.json")))).message).toMatch(/x\.json: not JSON/);
    expect(await failure(() => readJsonFile(join(folder, "y.json")))).toMatchObject({
      code: "E_FILE_MISSING",
    });
  });
});

describe("one safetensors file", () => {
  it("is the same, streamed or made in memory", async () => {
    const path = join(folder, "w.safetensors");
    const asked: string[] = [];
    const lazily = (name: string, values: number[]): TensorSource => {
      const { bytes, ...rest } = source(name, values);
      const fetch = async () => {
        asked.push(name);
        return bytes as Uint8Array;
      };
      return { ...rest, bytes: fetch };
    };
    await saveSafetensors(path, [lazily("b", [1, 2]), lazily("a", [3])], {
      metadata: { format: "pt", by: "test" },
    });
    const whole = writeSafetensors(
      { b: float32View(new Float32Array([1, 2]), [2]), a: float32View(new Float32Array([3]), [1]) },
      { format: "pt", by: "test" },
    );
    expect(Buffer.compare(await readFile(path), whole)).toBe(0);
    expect(asked).toEqual(["a", "b"]);
    await using reader = await openSafetensors(path);
    expect(reader.metadata).toEqual({ format: "pt", by: "test" });
    expect([...toFloat32(await reader.read("b"))]).toEqual([1, 2]);
    expect((await failure(() => reader.read("c"))).message).toMatch(
      /w\.safetensors: tensor "c": not in this file/,
    );
  });

  it("refuses bytes of a wrong length and leaves the old file", async () => {
    const path = join(folder, "w.safetensors");
    await saveSafetensors(path, [source("a", [1])]);
    const wrong: TensorSource = {
      name: "a",
      dtype: "F32",
      shape: [3],
      bytes: () => bytesOf(new Float32Array(2)),
    };
    expect(await failure(() => saveSafetensors(path, [wrong]))).toMatchObject({
      code: "E_SAFETENSORS_LENGTH",
    });
    expect(await numbers(path, "a")).toEqual([1]);
    expect(await readdir(folder)).toEqual(["w.safetensors"]);
  });

  it("says what is wrong with a file cut short, empty, missing, or a folder", async () => {
    const path = join(folder, "w.safetensors");
    await saveSafetensors(path, [source("a", [1, 2, 3, 4])]);
    const { length } = await readFile(path);
    for (const size of [length - 3, 20, 3, 0]) {
      await truncate(path, size);
      const error = await failure(() => openSafetensors(path));
      expect(error).toMatchObject({ code: "E_SAFETENSORS_TRUNCATED", file: path });
      expect(error.message).toMatch(/download or save it again/);
    }
    expect(await failure(() => openSafetensors(join(folder, "no.safetensors")))).toMatchObject({
      code: "E_FILE_MISSING",
    });
    expect(await failure(() => openSafetensors(folder))).toMatchObject({ code: "E_FILE_READ" });
  });
});

describe("weights in a folder", () => {
  const tensors = [source("x", [1, 2, 3]), source("y", [4, 5]), source("z", [6])];

  it("in one file, then in several, then in one again", async () => {
    expect(await saveWeights(folder, tensors)).toEqual(["model.safetensors"]);
    const names = await saveWeights(folder, tensors, { maxShardSize: 12 });
    expect(names).toEqual([
      "model-00001-of-00002.safetensors",
      "model-00002-of-00002.safetensors",
      "model.safetensors.index.json",
    ]);
    expect((await readdir(folder)).sort()).toEqual(names);
    await using reader = await openWeights(folder);
    expect([...reader.tensors.keys()].sort()).toEqual(["x", "y", "z"]);
    expect([...toFloat32(await reader.read("z"))]).toEqual([6]);
    await saveWeights(folder, tensors);
    expect(await readdir(folder)).toEqual(["model.safetensors"]);
  });

  it("a full disk leaves the earlier save as it was", async () => {
    await saveWeights(folder, tensors, { maxShardSize: 12 });
    const before = (await readdir(folder)).sort();
    const changed = tensors.map((tensor) => ({
      ...tensor,
      bytes: new Uint8Array((tensor.bytes as Uint8Array).length),
    }));
    disk.free = 200;
    expect(await failure(() => saveWeights(folder, changed, { maxShardSize: 12 }))).toMatchObject({
      code: "E_FILE_FULL",
    });
    expect((await readdir(folder)).sort()).toEqual(before);
    await using reader = await openWeights(folder);
    expect([...toFloat32(await reader.read("x"))]).toEqual([1, 2, 3]);
    expect([...toFloat32(await reader.read("y"))]).toEqual([4, 5]);
  });

  it("says what a folder has instead", async () => {
    expect((await failure(() => openWeights(folder))).message).toMatch(
      /no model\.safetensors\.index\.json\. The folder has no weights/,
    );
    await writeFile(join(folder, "pytorch_model.bin"), "");
    expect((await failure(() => openWeights(folder))).message).toMatch(
      /has pytorch_model\.bin\. Convert it in Python/,
    );
  });

  it("names a shard that is missing, and a tensor that is not where the index says", async () => {
    const [first, , index] = await saveWeights(folder, tensors, { maxShardSize: 12 });
    const map = await readJsonFile<{ weight_map: Record<string, string> }>(join(folder, index!));
    await writeFile(join(folder, index!), JSON.stringify({ weight_map: { ...map.weight_map, q: first } }));
    expect((await failure(() => openWeights(folder))).message).toMatch(
      /tensor "q": the index says it is in model-00001/,
    );
    await rm(join(folder, first!));
    expect(await failure(() => openWeights(folder))).toMatchObject({
      code: "E_FILE_MISSING",
      path: join(folder, first!),
    });
  });
});
