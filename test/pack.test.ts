// What `npm pack` would publish of each package.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "..");

interface Manifest {
  exports: Record<string, Record<string, string>>;
  bin?: Record<string, string>;
}

describe.each(["tensor", "models", "peft", "datasets", "trainer", "cli"])(
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
      expect(files.filter((file) => !/^(?:dist\/|README\.md$|package\.json$|LICENSE$)/.test(file))).toEqual(
        [],
      );
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
