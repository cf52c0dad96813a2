import { existsSync, readdirSync, readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Device } from "@wgrad/tensor";
import { ensureRuntimeFolder } from "../device.js";
import { describeFailure, EXIT } from "../errors.js";
import { formatBytes } from "../ui.js";
import { examples, type Verb } from "../verb.js";

/** One thing that was looked at. */
interface Probe {
  name: string;
  /** Null: a remark, neither good nor bad. */
  ok: boolean | null;
  found: string;
  /** What mends it. */
  fix?: string;
}

/** `wgrad doctor`. */
export const doctor: Verb = {
  define(command, context) {
    command
      .addHelpText(
        "after",
        `\nCheap probes explain, a real dispatch whose result is compared decides: exit 0 if it is right, 1 if not.\n${examples(
          [
            ["wgrad doctor", "what this machine can do, and what to install"],
            ["wgrad doctor --json", "the same for a program"],
          ],
        )}`,
      )
      .action(async (flags: { json?: boolean }) => {
        const ui = context.ui(flags);
        const runtimeFolder = process.env.XDG_RUNTIME_DIR;
        ensureRuntimeFolder();
        const system = await readSystem();
        const probes: Probe[] = [probeNode(), ...probeSystem(system, runtimeFolder)];
        const { probes: gpu, device, details } = await probeGpu(system);
        probes.push(...gpu);
        const healthy = probes.every(({ ok }) => ok !== false);
        for (const { name, ok, found, fix } of probes) {
          const mark = ok === null ? "·" : ok ? "✓" : "✗";
          ui.result(`${mark} ${name.padEnd(10)} ${found}`);
          if (fix)
            ui.result(
              `${fix
                .split("\n")
                .map((line) => `             ${line}`)
                .join("\n")}`,
            );
        }
        ui.result(
          healthy
            ? "\nThis machine can compute."
            : "\nThis machine cannot compute yet: mend what is marked ✗, then run wgrad doctor again.",
        );
        ui.document({ healthy, probes, ...details });
        device?.close();
        if (!healthy) context.exit(EXIT.failed);
      });
  },
};

/** What decides about drivers on this machine. */
interface System {
  platform: NodeJS.Platform;
  /** Fields of /etc/os-release. */
  release: Record<string, string>;
  isRoot: boolean;
}

async function readSystem(): Promise<System> {
  const text = await readFile("/etc/os-release", "utf8").catch(() => "");
  const lines = text.matchAll(/^([A-Z_]+)=(?:"([^"]*)"|(.*))$/gm);
  const release = Object.fromEntries([...lines].map(([, key, quoted, bare]) => [key!, quoted ?? bare ?? ""]));
  return { platform: process.platform, release, isRoot: process.getuid?.() === 0 };
}

function probeNode(): Probe {
  const version = process.versions.node;
  const ok = Number(version.split(".")[0]) >= 20;
  return {
    name: "Node",
    ok,
    found: `${version}, ${process.platform} ${process.arch}`,
    ...(ok ? {} : { fix: "Node 20 or newer is needed: https://nodejs.org/en/download" }),
  };
}

/** The environment that Vulkan's loader and Mesa read. */
function probeSystem({ platform, release }: System, runtimeFolder: string | undefined): Probe[] {
  if (platform !== "linux") return [];
  const probes: Probe[] = [{ name: "System", ok: null, found: release.PRETTY_NAME ?? "Linux" }];
  if (!runtimeFolder || !existsSync(runtimeFolder)) {
    const state = runtimeFolder ? `${runtimeFolder} does not exist` : "not set";
    probes.push({
      name: "Runtime",
      ok: null,
      found: `XDG_RUNTIME_DIR is ${state}; ${process.env.XDG_RUNTIME_DIR} is used. To choose: export XDG_RUNTIME_DIR=/tmp`,
    });
  }
  for (const name of ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"]) {
    const files = process.env[name];
    if (!files) continue;
    const missing = files.split(":").filter((file) => !existsSync(file));
    probes.push({
      name: "Driver",
      ok: missing.length === 0,
      found: `${name} names ${files}${missing.length > 0 ? `; not there: ${missing.join(", ")}` : ""}`,
      ...(missing.length > 0 ? { fix: `unset ${name}` } : {}),
    });
  }
  return probes;
}

async function probeGpu(
  system: System,
): Promise<{ probes: Probe[]; device: Device | null; details: object }> {
  const probes: Probe[] = [];
  let device: Device;
  try {
    const { openDevice } = await import("@wgrad/tensor/node");
    device = await openDevice();
  } catch (error) {
    const { code, message } = describeFailure(error);
    const hasDawn = code !== "E_NO_WEBGPU";
    probes.push({
      name: "Dawn",
      ok: hasDawn,
      found: hasDawn ? "the npm package webgpu is there" : message,
      ...(hasDawn ? {} : { fix: "npm install webgpu" }),
    });
    if (hasDawn)
      probes.push({
        name: "Adapter",
        ok: false,
        found: code === "E_NO_ADAPTER" ? "Dawn finds none" : message,
        fix: driverAdvice(system),
      });
    return { probes, device: null, details: {} };
  }
  const { info, features, limits } = device;
  probes.push({ name: "Dawn", ok: true, found: "the npm package webgpu is there" });
  const isNull = info.device === "null-backend" || /null/i.test(info.description);
  probes.push({
    name: "Adapter",
    ok: !isNull,
    found: [info.description || info.device, info.vendor, info.architecture].filter(Boolean).join(", "),
    ...(isNull ? { fix: "This backend computes nothing: unset DAWNNODE_BACKEND" } : {}),
  });
  if (/llvmpipe|swiftshader/i.test(`${info.description} ${info.device} ${info.architecture}`)) {
    probes.push({
      name: "Speed",
      ok: null,
      found: "a software driver: right, but slow. With a GPU in this machine, install its Vulkan driver.",
    });
  }
  const listed = [...features].filter((name) =>
    ["shader-f16", "subgroups", "timestamp-query"].includes(name),
  );
  probes.push({
    name: "Features",
    ok: null,
    found:
      listed
        .map((name) =>
          name === "subgroups" ? `subgroups (of ${device.subgroupSize || "varying size"})` : name,
        )
        .join(", ") || "none of shader-f16, subgroups, timestamp-query",
  });
  probes.push({
    name: "Limits",
    ok: null,
    found: `${limits.maxComputeInvocationsPerWorkgroup} invocations, ${formatBytes(limits.maxComputeWorkgroupStorageSize)} of workgroup memory, ${formatBytes(limits.maxStorageBufferBindingSize)} a binding, ${formatBytes(limits.maxBufferSize)} a buffer`,
  });
  probes.push(await probeDispatch(device, system));
  const details = {
    adapter: {
      vendor: info.vendor,
      architecture: info.architecture,
      device: info.device,
      description: info.description,
    },
    features: [...features],
    subgroupSize: device.subgroupSize,
    limits: Object.fromEntries(LIMITS.map((name) => [name, limits[name]])),
  };
  return { probes, device, details };
}

const LIMITS = [
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupStorageSize",
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxStorageBuffersPerShaderStage",
] as const;

/** A product of matrices forward and backward, in whole numbers, which f32 gives exactly. */
async function probeDispatch(device: Device, system: System): Promise<Probe> {
  const size = 64;
  const began = performance.now();
  try {
    const { Tensor } = await import("@wgrad/tensor");
    const left = Float32Array.from({ length: size * size }, (_, i) => (i * 7) % 5);
    const right = Float32Array.from({ length: size * size }, (_, i) => (i * 3) % 7);
    const a = Tensor.from(device, left, [size, size], { requiresGrad: true });
    const b = Tensor.from(device, right, [size, size]);
    const product = a.matmul(b);
    product.sum().backward();
    const got = (await product.toArray()) as Float32Array;
    const gradient = (await a.grad!.toArray()) as Float32Array;
    const wrong = firstWrong(left, right, got, gradient, size);
    if (wrong)
      return {
        name: "Dispatch",
        ok: false,
        found: `it computes wrong: ${wrong}`,
        fix: `Update the driver.\n${driverAdvice(system)}`,
      };
    return {
      name: "Dispatch",
      ok: true,
      found: `a product of ${size}×${size} matrices and its gradient are right, ${Math.round(performance.now() - began)} ms with compiling`,
    };
  } catch (error) {
    return { name: "Dispatch", ok: false, found: describeFailure(error).message, fix: driverAdvice(system) };
  }
}

function firstWrong(
  a: Float32Array,
  b: Float32Array,
  got: Float32Array,
  gradient: Float32Array,
  size: number,
): string | null {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < size; j++) {
      let product = 0;
      let slope = 0;
      for (let k = 0; k < size; k++) {
        product += a[i * size + k]! * b[k * size + j]!;
        slope += b[j * size + k]!;
      }
      if (got[i * size + j] !== product)
        return `element [${i}, ${j}] of the product is ${got[i * size + j]}, expected ${product}`;
      if (gradient[i * size + j] !== slope)
        return `element [${i}, ${j}] of the gradient is ${gradient[i * size + j]}, expected ${slope}`;
    }
  }
  return null;
}

/** The mirror that this machine's apt gets Debian from. */
function debianMirror(): string {
  const folder = "/etc/apt/sources.list.d";
  const lists = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  for (const file of [...lists, "/etc/apt/sources.list"]) {
    if (!/\.(list|sources)$/.test(file) || !existsSync(file)) continue;
    const uri = /^(?:URIs:|deb(?:\s+\[[^\]]*\])?)\s*(\S+\/debian\/?)(?:\s|$)/m.exec(
      readFileSync(file, "utf8"),
    )?.[1];
    if (uri) return uri;
  }
  return "<your Debian mirror>";
}

/** The command that gives this machine an adapter. */
function driverAdvice({ platform, release, isRoot }: System): string {
  if (process.env.DAWNNODE_BACKEND) return "unset DAWNNODE_BACKEND";
  if (platform === "darwin") return "Metal comes with macOS: update macOS, or leave the virtual machine.";
  if (platform === "win32")
    return "Direct3D 12 comes with Windows 10 and 11: install your GPU's driver (Settings > Windows Update > Optional updates).";
  const sudo = isRoot ? "" : "sudo ";
  const head = "With a GPU, install its Vulkan driver. Without one, Mesa's software Vulkan will do:\n";
  const family = `${release.ID ?? ""} ${release.ID_LIKE ?? ""}`;
  if (release.VERSION_CODENAME === "bookworm" && release.ID !== "ubuntu") {
    return (
      `${head}echo 'deb ${debianMirror()} bookworm-backports main' | ${sudo}tee /etc/apt/sources.list.d/bookworm-backports.list\n` +
      `${sudo}apt-get update && ${sudo}apt-get install -y -t bookworm-backports mesa-vulkan-drivers libvulkan1\n` +
      "(Debian 12's own Mesa 22.3 is refused by Dawn, which needs 23.1 or newer; its backports have 25.0.)"
    );
  }
  if (/debian|ubuntu/.test(family))
    return `${head}${sudo}apt-get update && ${sudo}apt-get install -y mesa-vulkan-drivers libvulkan1`;
  if (/fedora|rhel|centos/.test(family))
    return `${head}${sudo}dnf install -y mesa-vulkan-drivers vulkan-loader`;
  if (/arch/.test(family)) return `${head}${sudo}pacman -S --needed vulkan-swrast vulkan-icd-loader`;
  if (/suse/.test(family)) return `${head}${sudo}zypper install -y libvulkan1 libvulkan_lvp`;
  if (/alpine/.test(family))
    return "Dawn for Node is built for glibc and does not run on Alpine: use a Debian image.";
  return `${head}install the Vulkan loader and Mesa's Vulkan drivers, 23.1 or newer, with your package manager.`;
}
