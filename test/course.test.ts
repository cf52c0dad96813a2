// The course is true: every line of WGSL that it quotes is in the file it names, its tables are those of bench/results, and every
// command in it runs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, describe, expect, it } from "vitest";

const root = resolve(fileURLToPath(import.meta.url), "../..");
const { chapters, render } = (await import(pathToFileURL(join(root, "docs/course/tables.mjs")).href)) as {
  chapters: string[];
  render(text: string): string;
};

/** Fenced blocks of a language: what stands behind the language's name, and the text. */
function blocks(text: string, language: string): { info: string; code: string }[] {
  const fence = new RegExp(`^\`\`\`${language}\\b *(.*)\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...text.matchAll(fence)].map((match) => ({ info: match[1]!, code: match[2]! }));
}

/** Commands are run in a folder of their own, in which the repository's folders are found. */
const folder = mkdtempSync(join(tmpdir(), "wgrad-course-"));
for (const name of ["bench", "docs", "node_modules", "packages", "package.json"]) {
  symlinkSync(join(root, name), join(folder, name));
}

/** Starts a command of the course: `npx wgrad …` and `node …` without a shell, so that it works on every system. */
function runCommand(line: string) {
  const [program, ...words] = line.trim().split(/\s+/);
  const args =
    program === "npx" && words[0] === "wgrad"
      ? [join(root, "packages/cli/bin/wgrad.js"), ...words.slice(1)]
      : [...words];
  expect(["npx", "node"], `the test can run npx wgrad and node, not ${program}`).toContain(program);
  return spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: "utf8",
    timeout: 400_000,
    env: { ...process.env, NO_COLOR: "1" },
  });
}

describe("docs/course", () => {
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  for (const file of chapters) {
    const text = readFileSync(file, "utf8");
    describe(basename(file), () => {
      it("quotes lines that are in the files", () => {
        for (const { info, code } of blocks(text, "wgsl")) {
          if (info === "") continue;
          const source = readFileSync(join(root, info), "utf8");
          // Three dots stand for lines that are left out.
          for (const part of code.split(/^\s*\/\/ …$/m))
            expect(source, info).toContain(part.replace(/^\n/, ""));
        }
      });

      it("shows the tables of bench/results", () => {
        expect(render(text)).toBe(text);
      });

      it("links to files that exist", () => {
        for (const [, target] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
          if (target!.startsWith("http")) continue;
          expect(existsSync(join(dirname(file), target!)), target).toBe(true);
        }
      });

      for (const { info, code } of blocks(text, "sh")) {
        // The commands of a block that is marked so are meant to fail: a wrong kernel is refused.
        const fails = info === "fails";
        for (const line of code.trim().split("\n")) {
          it(`${fails ? "refuses" : "runs"}: ${line}`, { timeout: 420_000 }, () => {
            const { status, stdout, stderr } = runCommand(line);
            expect(status, `${stdout}\n${stderr}`).toBe(fails ? 1 : 0);
          });
        }
      }
    });
  }
});
