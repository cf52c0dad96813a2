// Python's own packages for test/python*.test.ts, in a virtual environment of this checkout. Nothing here fails a run: where they
// cannot be had, the tests that need them say that they skip.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { aptInstall, hasApt, isRoot } from "./apt.mjs";
import { root, run, say } from "./shell.mjs";

const folder = join(root, ".cache/python");
const stamp = join(folder, "wgrad.json");
/** What is installed, each by itself: TensorBoard's tests need no PyTorch. */
const groups = ["tensorboard", "torch"];
/** Seconds for everything. */
const LIMIT = 150;

/**
 * Puts the path of a Python that has the packages into WGRAD_PYTHON, and why some are missing into WGRAD_PYTHON_MISSING. Installs
 * them once, in continuous integration (`CI` is set) or where that was done before.
 * @param {string[]} filters what `npm test` was asked for; empty for all tests
 */
export function ensurePython(filters) {
  if (process.env.WGRAD_PYTHON || !isWanted(filters)) return;
  const wanted = createHash("sha256");
  for (const group of groups) wanted.update(readFileSync(requirements(group)));
  const key = wanted.digest("hex");
  const found = readStamp();
  const isCurrent = found?.key === key;
  if (!isCurrent && !process.env.CI && !existsSync(folder)) {
    const why = "not installed: CI=1 npm test installs it";
    say(`No Python packages: the tests with PEFT, transformers and TensorBoard will be skipped (${why}).`);
    process.env.WGRAD_PYTHON_MISSING = why;
    return;
  }
  // What was missing is tried again where it matters; what is there is not installed twice.
  const missing = isCurrent && (!found.missing || !process.env.CI) ? found.missing : install();
  if (missing) {
    say(`The tests that need these Python packages will be skipped: ${missing}`);
    process.env.WGRAD_PYTHON_MISSING = missing;
  }
  if (!existsSync(pythonOf(folder))) return;
  writeFileSync(stamp, JSON.stringify({ key, missing }));
  process.env.WGRAD_PYTHON = pythonOf(folder);
}

const requirements = (group) => join(root, `test/python/requirements-${group}.txt`);

const files = ["test/python.test.ts", "test/python-clip.test.ts"];
const isWanted = (filters) =>
  filters.length === 0 ||
  filters.some((text) => files.some((file) => file.includes(text.replace(/^\.\//, ""))));

function readStamp() {
  try {
    return JSON.parse(readFileSync(stamp, "utf8"));
  } catch {
    return undefined;
  }
}

const pythonOf = (place) => join(place, process.platform === "win32" ? "Scripts/python.exe" : "bin/python");

/** Makes the environment. @returns {string | undefined} why something is missing */
function install() {
  const python = findPython();
  if (!python) return "no Python from 3.11 on with the module venv";
  const until = Date.now() + LIMIT * 1000;
  say("Installing Python packages for the tests with PEFT, transformers and TensorBoard");
  const made = run(python, ["-m", "venv", folder], { timeout: until - Date.now() });
  if (made.code !== 0) return `${python} -m venv failed: ${lastLine(made)}`;
  const reasons = groups.map((group) => installGroup(group, until)).filter(Boolean);
  return reasons.length > 0 ? reasons.join("; ") : undefined;
}

/** Installs the packages of a group. @returns {string | undefined} why they are missing */
function installGroup(group, until) {
  const pip = (...args) =>
    run(pythonOf(folder), ["-m", "pip", "--disable-pip-version-check", "--no-input", "install", ...args], {
      timeout: Math.max(1, until - Date.now()),
    });
  if (group === "torch") {
    const name = readFileSync(requirements(group), "utf8").match(/^torch==\S+/m)?.[0];
    const plan = pip("--quiet", "--dry-run", "--no-deps", "--only-binary=:all:", "--report=-", name);
    if (plan.code !== 0) return `${name} cannot be had: ${lastLine(plan)}`;
    // Nothing is planned where it is installed already.
    const [planned] = JSON.parse(plan.out.slice(plan.out.indexOf("{"))).install;
    // Some gigabytes, for GPUs that a test machine does not have.
    if (planned?.metadata.requires_dist?.some((text) => /^(?:nvidia|cuda)/.test(text)))
      return `${name} is offered as the build for CUDA only: let pip find PyTorch's build for the CPU (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL)`;
  }
  const done = pip("--quiet", "--no-deps", "--only-binary=:all:", "--no-compile", "-r", requirements(group));
  if (done.code === 0) return undefined;
  return Date.now() >= until ? `installing ${group} took over ${LIMIT} s` : `${group}: ${lastLine(done)}`;
}

/** A Python that can make environments; on Debian and Ubuntu as root it is installed. */
function findPython() {
  const names = process.platform === "win32" ? ["python", "py"] : ["python3", "/usr/bin/python3", "python"];
  const works = (name) =>
    run(name, ["-c", "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))"]).code === 0;
  const found = names.find(works);
  if (found || !hasApt() || !isRoot()) return found;
  say("No Python with the module venv: installing python3-venv");
  try {
    aptInstall(["python3", "python3-venv"]);
  } catch {
    return undefined;
  }
  return names.find(works);
}

const lastLine = ({ out, err }) => `${out}\n${err}`.trim().split("\n").at(-1) ?? "";
