// What Debian's and Ubuntu's package manager is asked to do, without a question on the terminal.
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, Stop } from "./shell.mjs";

/** The fields of /etc/os-release, `{}` where there is none. */
export function osRelease(file = "/etc/os-release") {
  if (!existsSync(file)) return {};
  const lines = readFileSync(file, "utf8").matchAll(/^([A-Z_]+)=(?:"([^"]*)"|(.*))$/gm);
  return Object.fromEntries([...lines].map(([, key, quoted, bare]) => [key, quoted ?? bare]));
}

/** Whether this is Debian, Ubuntu or something made from them, with apt-get. */
export function hasApt(release = osRelease()) {
  const family = `${release.ID ?? ""} ${release.ID_LIKE ?? ""}`.split(" ");
  return (family.includes("debian") || family.includes("ubuntu")) && existsSync("/usr/bin/apt-get");
}

export const isRoot = () => process.getuid?.() === 0;

/**
 * Every source that apt reads: one entry per `deb` line or deb822 paragraph.
 * @returns {{ uri: string, suites: string[], signedBy?: string }[]}
 */
export function aptSources(folder = "/etc/apt") {
  const parts = join(folder, "sources.list.d");
  const files = [join(folder, "sources.list")]
    .concat(existsSync(parts) ? readdirSync(parts).map((name) => join(parts, name)) : [])
    .filter((file) => existsSync(file));
  return files.flatMap((file) => {
    const text = readFileSync(file, "utf8").replace(/^\s*#.*\n?/gm, "");
    if (file.endsWith(".sources")) return text.split(/\n\s*\n/).flatMap(readParagraph);
    return file.endsWith(".list") ? text.split("\n").flatMap(readLine) : [];
  });
}

function readParagraph(paragraph) {
  const field = (name) =>
    new RegExp(`^${name}:[ \\t]*(.*(?:\\n[ \\t].*)*)`, "im").exec(paragraph)?.[1].trim();
  const uri = field("URIs")?.split(/\s+/)[0];
  if (!uri || !field("Types")?.split(/\s+/).includes("deb") || /^no$/i.test(field("Enabled") ?? ""))
    return [];
  return [{ uri, suites: field("Suites")?.split(/\s+/) ?? [], signedBy: field("Signed-By") }];
}

function readLine(line) {
  const found = /^\s*deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)/.exec(line);
  if (!found) return [];
  const signedBy = /signed-by=(\S+)/.exec(found[1] ?? "")?.[1];
  return [{ uri: found[2], suites: [found[3]], signedBy }];
}

/** The text of a source file for `suite`, from the same mirror and key as the release's own source. */
export function sourceFor(suite, release, sources) {
  const base = sources.find((source) => source.suites.includes(release));
  if (!base) return undefined;
  const lines = ["Types: deb", `URIs: ${base.uri}`, `Suites: ${suite}`, "Components: main"];
  if (base.signedBy) lines.push(`Signed-By: ${base.signedBy}`);
  return `${lines.join("\n")}\n`;
}

/**
 * Installs packages as root. With `suite`, adds that suite of this machine's own mirror first when no source has it.
 * @param {string[]} packages
 * @param {string} [suite] such as `bookworm-backports`
 * @throws {Stop} with apt's own words when it fails
 */
export function aptInstall(packages, suite) {
  let added;
  if (suite && !aptSources().some((source) => source.suites.includes(suite))) {
    const text = sourceFor(suite, suite.replace(/-backports$/, ""), aptSources());
    if (!text)
      throw new Stop(
        `Cannot add ${suite}: no source in /etc/apt names its mirror. Add it, then run this again.`,
      );
    added = `/etc/apt/sources.list.d/${suite}.sources`;
    writeFileSync(added, text);
  }
  try {
    apt("update");
    apt("install", "-y", "--no-install-recommends", ...(suite ? ["-t", suite] : []), ...packages);
  } catch (failure) {
    // A source that does not answer would break every later apt-get on this machine.
    if (added) rmSync(added, { force: true });
    throw failure;
  }
}

function apt(...args) {
  const done = run(
    "apt-get",
    ["-q", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Options::=--force-confold", ...args],
    {
      env: { DEBIAN_FRONTEND: "noninteractive" },
    },
  );
  if (done.code !== 0)
    throw new Stop(`apt-get ${args.join(" ")} failed:\n${lastLines(done.out + done.err, 20)}`);
}

const lastLines = (text, count) => text.trimEnd().split("\n").slice(-count).join("\n");
