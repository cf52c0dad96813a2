// `npm test`: installs and builds what is missing, makes sure of an adapter, then lint, types and every test.
// `npm test -- packages/tensor/src/ops/matmul -t backward` runs only those tests, without lint and types.
// The last line on stdout is `N passed, N failed`, with `, N skipped` when some were.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { createInterface } from "node:readline";
import { ensureAdapter, ensureBrowser } from "./lib/ensure-adapter.mjs";
import { ensurePython } from "./lib/ensure-python.mjs";
import { ensureBuilt, ensureInstalled } from "./lib/install.mjs";
import { checkNode, dawnNoise, fail, root, run, say } from "./lib/shell.mjs";

const filters = process.argv.slice(2);
const total = { passed: 0, failed: 0, skipped: 0 };

try {
  checkNode();
  ensureInstalled();
  if (filters.length === 0)
    check("lint and format", "@biomejs/biome/bin/biome", ["check", "--error-on-warnings", "."]);
  ensureBuilt();
  ensureAdapter();
  ensureBrowser();
  ensurePython(filters);
  if (filters.length === 0)
    check("types", "typescript/bin/tsc", ["-p", "tsconfig.json", "--pretty", "false"]);
  await vitest();
} catch (failure) {
  total.failed += 1;
  fail(failure);
}
if (total.failed > 0) process.exitCode = 1;
const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : "";
say(`${total.passed} passed, ${total.failed} failed${skipped}`);

/** Runs a checker of node_modules; it counts as one test. Its output is shown only when it fails. */
function check(name, bin, args) {
  const { code, out, err } = run(process.execPath, [join(root, "node_modules", bin), ...args]);
  total[code === 0 ? "passed" : "failed"] += 1;
  say(`${code === 0 ? "✓" : "✗"} ${name}`);
  if (code !== 0) say(`${out}${err}`.trimEnd());
}

/** Runs the tests and adds up what Vitest's own report says. Whatever broke without being in it counts as a failure. */
async function vitest() {
  const folder = mkdtempSync(join(tmpdir(), "wgrad-test-"));
  try {
    const report = join(folder, "report.json");
    const code = await show(process.execPath, [
      join(root, "node_modules/vitest/vitest.mjs"),
      "run",
      "--reporter=default",
      "--reporter=json",
      `--outputFile.json=${report}`,
      ...filters,
    ]);
    const found = readReport(report);
    for (const line of found.broken) say(`✗ ${line}`);
    if (code !== 0 && found.failed === 0) {
      say(`✗ Vitest ended with code ${code} for a reason that is no test's: see above`);
      found.failed = 1;
    }
    for (const key of ["passed", "failed", "skipped"]) total[key] += found[key];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readReport(file) {
  let report;
  try {
    report = JSON.parse(readFileSync(file, "utf8"));
  } catch {
    return { passed: 0, failed: 1, skipped: 0, broken: ["Vitest wrote no report: it crashed"] };
  }
  // A file that fails before its first test has no test to fail: the file itself counts.
  const broken = report.testResults.filter(
    (suite) => suite.status === "failed" && !suite.assertionResults.some((test) => test.status === "failed"),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
    broken: broken.map((suite) => `${relative(root, suite.name)} failed outside of its tests`),
  };
}

/** Runs a program on this terminal, dropping from its stderr only the two lines that Dawn always writes. */
function show(file, args) {
  const child = spawn(file, args, { cwd: root, stdio: ["ignore", "inherit", "pipe"] });
  createInterface({ input: child.stderr }).on("line", (line) => {
    if (!dawnNoise.test(line)) process.stderr.write(`${line}\n`);
  });
  return new Promise((settle, reject) => {
    child.on("error", reject);
    child.on("close", (code) => settle(code ?? 1));
  });
}
