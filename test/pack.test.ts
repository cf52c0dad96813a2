// What `npm pack` would publish of each package, and whether the engine works where nothing else is installed.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

interface Manifest {
  exports: Record<string, Record<string, string>>;
  bin?: Record<string, string>;
}

describe.each(["tensor", "image", "models", "peft", "datasets", "estimators", "trainer", "cli"])(
  "npm pack of packages/%s",
  (name) => {
    const folder = join(root, "packages", name);
    const manifest: Manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    const listing: [{ files: { path: string }[] }] = JSON.parse(
      execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
        cwd: folder,
        encoding: "utf8",
      }),
    );
    const files = listing[0].files.map((file) => file.path);

    it("holds every entry, its types, the README and the licence", () => {
      const doors = Object.values(manifest.exports).flatMap((door) => Object.values(door));
      const wanted = [...doors, ...Object.values(manifest.bin ?? {}), "README.md", "dist/LICENSE"];
      expect(wanted.map((file) => file.replace("./", "")).filter((file) => !files.includes(file))).toEqual(
        [],
      );
    });

    it("holds no sources, tests or settings", () => {
      expect(
        files.filter(
          (file) => !/^(?:dist\/|bin\/|fixtures\/|README\.md$|package\.json$|LICENSE$)/.test(file),
        ),
      ).toEqual([]);
      expect(files.filter((file) => /\.test\.|\.tsbuildinfo$|vitest/.test(file))).toEqual([]);
    });

    it("starts its commands with a line for the shell", () => {
      for (const file of Object.values(manifest.bin ?? {})) {
        const path = join(folder, file);
        expect(existsSync(path) && readFileSync(path, "utf8").startsWith("#!/usr/bin/env node\n"), file).toBe(
          true,
        );
      }
    });
  },
);

describe("packages/tensor alone, packed and installed into an empty folder", () => {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-alone-"));
  const run = (file: string, ...args: string[]): string =>
    execFileSync(file, args, { cwd: folder, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });

  beforeAll(() => {
    const packed = execFileSync("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
      cwd: join(root, "packages/tensor"),
      encoding: "utf8",
    });
    const [{ filename }]: [{ filename: string }] = JSON.parse(packed);
    writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" }));
    run("npm", "install", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund", `./${filename}`);
    // Dawn is 100 MB; the copy that is already here is the same as the one that npm would unpack.
    symlinkSync(join(root, "node_modules/webgpu"), join(folder, "node_modules/webgpu"));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it("runs the first example of its README", () => {
    const readme = readFileSync(join(root, "packages/tensor/README.md"), "utf8");
    const example = /```js\n([\s\S]*?)```/.exec(readme)?.[1] ?? "";
    expect(example.trimEnd().split("\n").length, "lines of the example").toBeLessThanOrEqual(20);
    writeFileSync(join(folder, "example.js"), example);
    expect(run(process.execPath, "example.js")).not.toBe("");
  });

  it.each(["bundler", "nodenext"])(
    "has types that check with moduleResolution %s and nothing else",
    (resolution) => {
      writeFileSync(
        join(folder, "user.ts"),
        'import * as tensor from "@wgrad/tensor";\nimport * as node from "@wgrad/tensor/node";\nexport const all = [tensor, node];\n',
      );
      const compilerOptions = {
        noEmit: true,
        strict: true,
        skipLibCheck: false,
        target: "es2022",
        lib: ["es2023", "dom", "esnext.disposable"],
        types: [],
        module: resolution === "bundler" ? "esnext" : "nodenext",
        moduleResolution: resolution,
      };
      writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files: ["user.ts"] }));
      const done = spawnSync(
        process.execPath,
        [join(root, "node_modules/typescript/bin/tsc"), "-p", folder],
        {
          encoding: "utf8",
        },
      );
      expect(done.stdout).toBe("");
    },
  );
});
