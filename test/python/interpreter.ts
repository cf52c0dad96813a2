/** The Python of this checkout (scripts/lib/ensure-python.mjs), for tests that exchange files with its packages. */
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";

const environment = resolve(
  import.meta.dirname,
  "../../.cache/python",
  process.platform === "win32" ? "Scripts/python.exe" : "bin/python",
);
const python = process.env.WGRAD_PYTHON ?? (existsSync(environment) ? environment : null);

/** Why tests with these packages are skipped; null where they can run. */
export function missing(...packages: string[]): string | null {
  if (!python)
    return `no Python packages: ${process.env.WGRAD_PYTHON_MISSING ?? "CI=1 npm test installs them"}`;
  const find = `import importlib.util as u, sys; print(*[p for p in sys.argv[1:] if not u.find_spec(p)])`;
  const done = spawnSync(python, ["-c", find, ...packages], { encoding: "utf8" });
  const names = done.status === 0 ? done.stdout.trim() : `${python} does not run`;
  return names ? `missing: ${names}. ${process.env.WGRAD_PYTHON_MISSING ?? ""}`.trim() : null;
}

/** Runs a script of this folder; what it wrote on stdout. */
export function runPython(script: string, ...args: string[]): string {
  const done = spawnSync(python!, [join(import.meta.dirname, script), ...args], {
    encoding: "utf8",
    maxBuffer: 1 << 28,
    env: { ...process.env, OMP_NUM_THREADS: "1", PYTHONWARNINGS: "ignore" },
  });
  if (done.status !== 0) throw new Error(`${script} ended with code ${done.status}\n${done.stderr}`);
  return done.stdout;
}

/** What a describe is called: with the reason where it is skipped. */
export const titled = (title: string, why: string | null): string =>
  why ? `${title} (skipped: ${why})` : title;
