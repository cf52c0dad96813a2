// Makes sure that Dawn finds a WebGPU adapter, and the tests a browser. A machine that has them is left alone.
import { accessSync, constants, existsSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { aptInstall, aptSources, hasApt, isRoot, osRelease, sourceFor } from "./apt.mjs";
import { dawnNoise, root, run, Stop, say } from "./shell.mjs";

/**
 * Returns the name of the adapter that Dawn takes. On Debian and Ubuntu as root, installs Mesa's software Vulkan when
 * there is none.
 * @throws {Stop} with the command to type where this may not or cannot install it
 */
export function ensureAdapter() {
  useRuntimeFolder();
  const first = probe();
  if (first.ok) return first.name;
  const release = osRelease();
  if (process.platform !== "linux" || !hasApt(release) || !isRoot() || process.env.DAWNNODE_BACKEND)
    throw new Stop(adviceFor(process.platform, release, first.why));
  const { packages, suite } = mesaFor(release);
  say(`No WebGPU adapter: installing ${packages.join(", ")}${suite ? ` from ${suite}` : ""}`);
  aptInstall(packages, suite);
  const second = probe();
  if (!second.ok)
    throw new Stop(
      `${second.why}, even with ${packages.join(" and ")} installed. Dawn refuses Mesa 22.3 and takes 25.0: look with\n` +
        "  dpkg -s mesa-vulkan-drivers\nVK_DRIVER_FILES and VK_ICD_FILENAMES, where set, must name an existing file.",
    );
  say(`WebGPU adapter: ${second.name}`);
  return second.name;
}

/** Mesa's drivers want a folder here and complain on every start without one. */
function useRuntimeFolder() {
  if (process.platform !== "linux") return;
  const folder = process.env.XDG_RUNTIME_DIR;
  if (!folder || !existsSync(folder)) process.env.XDG_RUNTIME_DIR = tmpdir();
}

function probe() {
  const done = run(process.execPath, [join(root, "scripts/lib/probe-adapter.mjs")], { timeout: 120_000 });
  const line = done.out.trim().split("\n").at(-1) ?? "";
  if (line.startsWith("{")) return JSON.parse(line);
  const words = done.err.split("\n").filter((text) => text && !dawnNoise.test(text));
  return {
    ok: false,
    why: `Dawn ended with code ${done.code} while looking for an adapter\n${words.join("\n")}`,
  };
}

/** What apt is asked for. Debian 12's own Mesa, 22.3, is refused by Dawn; its backports have 25.0. */
function mesaFor(release) {
  const bookworm = release.VERSION_CODENAME === "bookworm" && release.ID !== "ubuntu";
  return {
    packages: ["mesa-vulkan-drivers", "libvulkan1"],
    suite: bookworm ? "bookworm-backports" : undefined,
  };
}

/** What to type on this machine, for someone who sees that Dawn has no adapter. */
export function adviceFor(platform, release, why) {
  const then = "then run this command again.";
  const head = `No WebGPU adapter: ${why}.\n`;
  if (process.env.DAWNNODE_BACKEND) return `${head}Unset DAWNNODE_BACKEND, ${then}`;
  if (platform === "darwin")
    return `${head}Metal comes with macOS, so nothing can be installed: update macOS, or leave the virtual machine, ${then}`;
  if (platform === "win32")
    return `${head}Direct3D 12 comes with Windows 10 and 11: install your GPU's driver (Windows Update > Optional updates), ${then}`;
  if (hasApt(release)) {
    const { packages, suite } = mesaFor(release);
    const lines = [];
    if (suite && !aptSources().some((source) => source.suites.includes(suite))) {
      const text = sourceFor(suite, release.VERSION_CODENAME, aptSources()) ?? `Suites: ${suite}\n`;
      const quoted = text
        .trimEnd()
        .split("\n")
        .map((line) => `'${line}'`);
      lines.push(`  printf '%s\\n' ${quoted.join(" ")} | sudo tee /etc/apt/sources.list.d/${suite}.sources`);
    }
    lines.push(
      `  sudo apt-get update && sudo apt-get install -y ${suite ? `-t ${suite} ` : ""}${packages.join(" ")}`,
    );
    return `${head}With a GPU, install its Vulkan driver. Without one, Mesa's software Vulkan will do:\n${lines.join("\n")}\n${then}`;
  }
  const family = `${release.ID ?? ""} ${release.ID_LIKE ?? ""}`;
  const commands = [
    [/fedora|rhel|centos/, "sudo dnf install -y mesa-vulkan-drivers vulkan-loader"],
    [/arch/, "sudo pacman -S --needed vulkan-swrast vulkan-icd-loader"],
    [/suse/, "sudo zypper install -y libvulkan1 libvulkan_lvp"],
  ];
  const command = commands.find(([name]) => name.test(family))?.[1];
  if (/alpine/.test(family))
    return `${head}Dawn for Node is built for glibc and does not run on Alpine: use a Debian image.`;
  return command
    ? `${head}With a GPU, install its Vulkan driver. Without one, Mesa's software Vulkan will do:\n  ${command}\n${then}`
    : `${head}Install the Vulkan loader and Mesa's Vulkan drivers (22.3 is too old for Dawn, 25.0 works) with your package manager, ${then}`;
}

/**
 * Puts the path of a Chromium into CHROMIUM_PATH when a test wants one. On Debian as root installs it; elsewhere the
 * tests that need it say that they skip.
 */
export function ensureBrowser() {
  if (!testsWantBrowser()) return;
  const debian = osRelease().ID === "debian"; // Ubuntu's package is a stub for a snap, which needs a running system
  let found = findBrowser();
  if (!found && debian && hasApt() && isRoot()) {
    say("No Chromium: installing chromium for the browser tests");
    try {
      aptInstall(["chromium"]);
    } catch (failure) {
      say(`The browser tests will be skipped: ${failure.message}`);
      return;
    }
    found = findBrowser();
  }
  if (found) process.env.CHROMIUM_PATH = found;
  else say("No Chromium: the browser tests will be skipped. Install it or set CHROMIUM_PATH to run them.");
}

function testsWantBrowser() {
  const folder = join(root, "test");
  return (
    existsSync(folder) &&
    readdirSync(folder, { recursive: true })
      .filter((name) => name.endsWith(".test.ts"))
      .some((name) => readFileSync(join(folder, name), "utf8").includes("playwright-core"))
  );
}

function findBrowser() {
  const names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];
  const folders = (process.env.PATH ?? "").split(delimiter).filter(Boolean);
  const candidates = [
    process.env.CHROMIUM_PATH,
    ...names.flatMap((name) => folders.map((folder) => join(folder, name))),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    join(process.env.PROGRAMFILES ?? "C:\\Program Files", "Google\\Chrome\\Application\\chrome.exe"),
  ];
  return candidates.find((file) => file && runs(file));
}

function runs(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
