/** `wgrad kernels` as a user runs it: real processes, real kernels. */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeTinyData, makeTinyModel, wgrad } from "../testing/process.js";

let place: string;
let env: Record<string, string>;

beforeAll(() => {
  place = mkdtempSync(join(tmpdir(), "wgrad-kernels-"));
  // A cache of its own for what is tuned; Mesa's compiled programs stay where other tests find them.
  const shared = process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache");
  env = {
    XDG_CACHE_HOME: join(place, "cache"),
    MESA_SHADER_CACHE_DIR: process.env.MESA_SHADER_CACHE_DIR ?? shared,
  };
});
afterAll(() => rmSync(place, { recursive: true, force: true }));

/** `wgrad kernels …` with a cache of its own. */
const kernels = (...args: string[]) => wgrad(["kernels", ...args], { env });
const json = async (...args: string[]) => JSON.parse((await kernels(...args, "--json")).out);

/** A file with a kernel for an op: the template, with one thing changed. */
async function kernelFile(op: string, name: string, change?: [RegExp, string]): Promise<string> {
  const file = join(place, name);
  rmSync(file, { force: true });
  expect((await kernels("new", op, file)).code).toBe(0);
  if (!change) return file;
  const text = readFileSync(file, "utf8");
  const changed = text.replace(...change);
  expect(changed).not.toBe(text);
  writeFileSync(file, changed);
  return file;
}

describe("kernels --help", () => {
  it.each(["list", "show", "check", "bench", "tune", "new", "ab"])(
    "of %s has examples and needs no GPU",
    async (name) => {
      const done = await wgrad(["kernels", name, "--help"], { env: { VK_DRIVER_FILES: "/nonexistent" } });
      expect(done).toMatchObject({ code: 0, err: "" });
      expect(done.out).toContain(`Examples:\n  wgrad kernels ${name}`);
      expect(done.out).toContain("--json");
    },
  );
});

describe("kernels list and show", () => {
  it("tells every op's steps, whether this adapter can run them, and which is chosen and why", async () => {
    const { ops, tuning } = await json("list");
    expect(tuning.state).toBe("none");
    expect(ops.map(({ op }: { op: string }) => op)).toEqual(
      expect.arrayContaining(["matmul", "softmax", "softmax.backward"]),
    );
    for (const { op, steps, choices } of ops) {
      expect(steps.length, op).toBeGreaterThan(0);
      for (const choice of choices) {
        expect(
          steps.find(({ name }: { name: string }) => name === choice.step),
          op,
        ).toMatchObject({ lacks: null });
        expect(choice.why).not.toBe("");
      }
    }
    const limited = await kernels("list", "softmax", "--limits", "default");
    expect(limited.out).toMatch(/3-subgroup +subgroups +no /);
    expect(limited.out).toMatch(/1024x1024 +\S+ +\S/);
  });

  it("shows the WGSL of a step with its grid, ready to be read by a compiler", async () => {
    const done = await kernels("show", "softmax/1-naive", "--shape", "256x64");
    expect(done.code).toBe(0);
    expect(done.out).toContain("// ---- softmax/1-naive");
    expect(done.out).toMatch(/^\/\/ {3}grid 4 x 1 x 1, params 256 /m);
    expect(done.out).toMatch(/^@compute @workgroup_size\(64\)$/m);
    const { dispatches } = await json("show", "softmax/1-naive", "--shape", "256x64");
    expect(dispatches).toHaveLength(1);
    expect(dispatches[0]).toMatchObject({ grid: [4, 1, 1], types: { T: "f32" }, constants: { LOG: false } });
  });

  it("names the way out of what cannot be shown", async () => {
    const op = await kernels("show", "sofmax");
    expect(op).toMatchObject({ code: 2, err: expect.stringContaining("Did you mean softmax?") });
    const step = await kernels("show", "softmax/9-magic");
    expect(step).toMatchObject({ code: 2, err: expect.stringContaining("There are: 1-naive, 2-workgroup") });
    const shape = await kernels("show", "softmax", "--shape", "12by4");
    expect(shape).toMatchObject({ code: 2, err: expect.stringContaining("ROWSxLENGTH") });
  });
});

describe("kernels check", () => {
  /** Ladders whose every shape compiles programs of its own: minutes. Some shapes do here; without names the verb runs all. */
  const costly: Record<string, string[]> = {
    matmul: ["1x1x1", "33x17x3", "65x33x65,nt", "36x12x40,tn", "7x5x3,tn,batch=3", "36x40x44,nt,bias,gelu"],
    attention: ["2x3x7x7x64", "3x2x40x40x32,mask"],
    "attention.dq": ["3x2x40x40x32,mask"],
    "attention.dkv": ["3x2x40x40x32,mask"],
    "attention.backward": ["3x2x40x40x32,mask"],
  };

  it.each(["adapter", "default"])(
    "finds the steps of every ladder right with --limits %s",
    async (limits) => {
      const { ops } = await json("list");
      const names = ops.map(({ op }: { op: string }) => op);
      const cheap = names.filter((op: string) => !(op in costly));
      expect(cheap.length).toBe(names.length - Object.keys(costly).length);
      const runs = [
        cheap,
        ...Object.entries(costly).map(([op, shapes]) => [op, ...shapes.flatMap((s) => ["--shape", s])]),
      ];
      for (const args of runs) {
        const done = await kernels("check", ...args, "--limits", limits);
        expect(done.out).toMatch(/[1-9]\d* passed, 0 failed, \d+ skipped\n$/);
        expect(done.code).toBe(0);
      }
    },
    600_000,
  );
});

describe("kernels new, and a kernel of one's own", () => {
  it("writes the contract and a kernel that is right, and overwrites nothing", async () => {
    const file = await kernelFile("softmax", "softmax.wgsl");
    const text = readFileSync(file, "utf8");
    expect(text).toMatch(/^\/\/ A kernel of your own for softmax: /);
    expect(text).toContain("GROUP_ROWS");
    const again = await kernels("new", "softmax", file);
    expect(again).toMatchObject({ code: 2, err: expect.stringContaining("is there already") });
    const checked = await kernels("check", "--kernel", `softmax=${file}`);
    expect(checked).toMatchObject({
      code: 0,
      out: expect.stringMatching(/^✓ .*softmax\.wgsl: right on all \d+ shapes/),
    });
  });

  it("is refused with its own line and column where it does not compile", async () => {
    const file = await kernelFile("softmax", "broken.wgsl", [
      /\n@compute/,
      "\nconst wrong: u32 = 1.5;\n@compute",
    ]);
    const line =
      readFileSync(file, "utf8")
        .split("\n")
        .findIndex((text) => text.startsWith("const wrong")) + 1;
    const done = await kernels("check", "--kernel", `softmax=${file}`);
    expect(done.code).toBe(1);
    expect(done.out).toContain(`broken.wgsl:${line}:`);
    expect(done.out).toContain("const wrong: u32 = 1.5;");
  });

  it("is measured beside ours", async () => {
    const file = await kernelFile("softmax", "slow.wgsl");
    const args = ["--kernel", `softmax=${file}`, "--shape", "256x64", "--seconds", "0.05"];
    const { rows, peaks, own } = await json("bench", "softmax/1-naive", ...args);
    expect(rows.map(({ step }: { step: string }) => step)).toEqual([file, "1-naive"]);
    expect(rows[0]).toMatchObject({ chosen: true, why: "your kernel" });
    expect(rows[0].shareOfCopy).toBeGreaterThan(0);
    expect(peaks.f32.perSecond).toBeGreaterThan(1e9);
    expect(own).toMatchObject([{ op: "softmax", right: true }]);
  }, 600_000);
});

describe("kernels tune", () => {
  it("keeps what it found in a file that can be read and deleted, and every verb uses it", async () => {
    const done = await kernels("tune", "softmax", "--seconds", "3");
    expect(done.code).toBe(0);
    const folder = join(place, "cache/wgrad/tuning");
    const [name] = readdirSync(folder);
    const path = join(folder, name!);
    expect(done.out).toContain(path);
    const tuning = JSON.parse(readFileSync(path, "utf8"));
    expect(tuning.choices[0]).toMatchObject({ op: "softmax", step: expect.any(String) });

    // Another step in its place shows that the file decides.
    for (const choice of tuning.choices) choice.step = "2-workgroup";
    writeFileSync(path, JSON.stringify(tuning));
    const { ops } = await json("list", "softmax");
    expect(ops[0].choices[0]).toMatchObject({ step: "2-workgroup", why: "measured on this adapter" });

    const gone = await kernels("tune", "--delete");
    expect(gone.out).toContain(`Removed ${path}`);
    expect(existsSync(path)).toBe(false);
    expect((await json("list", "softmax")).tuning.state).toBe("none");
  });
});

describe("train and ab with a kernel of one's own", () => {
  let model: string;
  let data: string;
  beforeAll(async () => {
    model = await makeTinyModel(join(place, "model"));
    data = makeTinyData(join(place, "data"));
  });

  const train = (folder: string, ...args: string[]) =>
    wgrad(
      [
        ...["train", "--model", model, "--dataset", data, "--output-dir", join(place, folder)],
        ...["--max-steps", "6", "--logging-steps", "1", "--eval-strategy", "no", "--save-strategy", "no"],
        ...args,
      ],
      { env },
    );
  const lines = (folder: string) =>
    readFileSync(join(place, folder, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
  const losses = (folder: string): number[] =>
    lines(folder).flatMap(({ loss }) => (loss === undefined ? [] : [loss]));

  it("trains to the same losses with a plain matmul that is right", async () => {
    const file = await kernelFile("matmul", "matmul.wgsl");
    const [ours, mine] = [await train("ours"), await train("mine", "--kernel", `matmul=${file}`)];
    expect([ours.code, mine.code]).toEqual([0, 0]);
    expect(mine.err).toMatch(/Your kernel for matmul: .*matmul\.wgsl: right on all \d+ shapes/);
    const [a, b] = [losses("ours"), losses("mine")];
    expect(a).toHaveLength(6);
    // Sums are taken in another order: a few roundings of 2^-24.
    for (const [i, loss] of a.entries()) expect(Math.abs(b[i]! - loss) / loss).toBeLessThan(2e-6);
    expect(lines("mine")[0].kernels).toMatchObject([{ op: "matmul", file, right: true }]);
    const metrics = JSON.parse(readFileSync(join(place, "mine/metrics.json"), "utf8"));
    expect(metrics.kernels).toMatchObject([{ op: "matmul", right: true, shapes_failed: 0 }]);
    expect(readFileSync(join(place, "mine/recipe.yaml"), "utf8")).toContain("kernel:\n  matmul: ");
  });

  it("refuses a wrong one with its worst cell, and says in the run's files that it was forced", async () => {
    const wrong: [RegExp, string] = [/k < params\.k/, "k + 1u < params.k"];
    const file = await kernelFile("matmul", "wrong.wgsl", wrong);
    const refused = await train("refused", "--kernel", `matmul=${file}`);
    expect(refused.code).toBe(1);
    expect(refused.err).toMatch(/wrong\.wgsl is wrong on \d+ of \d+ shapes of matmul/);
    expect(refused.err).toMatch(/y\[\d+, \d+.*\] is \S+, expected \S+/);
    expect(existsSync(join(place, "refused"))).toBe(false);

    const forced = await train("forced", "--kernel", `matmul=${file}`, "--force");
    expect(forced.code).toBe(0);
    expect(forced.err).toContain("WRONG KERNEL in use (--force)");
    expect(lines("forced")[0].kernels).toMatchObject([{ op: "matmul", right: false, forced: true }]);
    expect(losses("forced")).not.toEqual(losses("ours"));
  });

  it("trains with a step of ours that is asked for, and names those there are", async () => {
    expect((await train("variant", "--variant", "matmul=1-naive")).code).toBe(0);
    const none = await train("none", "--variant", "matmul=9-magic");
    expect(none).toMatchObject({ code: 2, err: expect.stringContaining("There are: 1-naive") });
  });

  it("compares two kernels over the same steps of a recipe", async () => {
    const recipe = join(place, "recipe.yaml");
    writeFileSync(recipe, `model: ${model}\ndataset: ${data}\nlearning_rate: 1.0e-3\n`);
    const file = await kernelFile("softmax", "ab.wgsl");
    const done = await kernels("ab", "matmul/1-naive", "matmul/2-tile", "--recipe", recipe, "--steps", "5");
    expect(done.code).toBe(0);
    expect(done.out).toMatch(/share of the step +\d+\.\d% +\d+\.\d%/);
    expect(done.out).toMatch(/The losses (part at step \d|are the same)/);
    const same = await json("ab", `softmax=${file}`, "softmax/1-naive", "--recipe", recipe, "--steps", "4");
    expect(same.kernels[0].losses).toHaveLength(4);
    expect(same.first_difference).toBeNull();
    const mixed = await kernels("ab", "softmax/1-naive", "matmul/2-tile");
    expect(mixed).toMatchObject({ code: 2, err: expect.stringContaining("compare two of the same op") });
  });
});
