// Every benchmark, one after another, each writing bench/results/<name>-<adapter>-<date>.json.
//
//   node bench/all.mjs [--adapter llvmpipe|swiftshader|default] [--only regex] [--list] [-- options of the benchmarks]
//
// On an idle machine of two cores each takes some minutes. `--adapter` picks Vulkan's driver: Mesa's llvmpipe, the SwiftShader that
// comes with Chromium or Chrome, or (default) the one that WebGPU gives. Ends with 1 if a benchmark failed; a target that is not met
// is in its table, and no failure.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fail, root, Stop } from "../scripts/lib/shell.mjs";

/** name, script and its options; `anyAdapter`: what is measured does not depend on the adapter. */
const benches = [
  { name: "step", script: "peers/step.mjs", args: ["--libraries", "wgrad,wgrad-eager,jax-js"] },
  {
    name: "step-base",
    script: "peers/step.mjs",
    args: ["--size", "base", "--libraries", "wgrad", "--steps", "1"],
  },
  { name: "host", script: "step/host.mjs", anyAdapter: true },
  { name: "start", script: "step/start.mjs" },
  { name: "packed", script: "step/packed.mjs" },
  { name: "lora", script: "step/lora.mjs" },
  { name: "lora-base", script: "step/lora.mjs", args: ["--size", "base"] },
  { name: "clip-vit", script: "step/clip-vit.mjs" },
  { name: "clip-attention", script: "step/clip-attention.mjs" },
  { name: "fp16", script: "step/fp16.mjs" },
  { name: "checkpoint", script: "step/checkpoint.mjs" },
  { name: "resume-kill", script: "resume/kill.mjs" },
  { name: "step-shapes", script: "kernels/step-shapes.mjs" },
  { name: "bandwidth", script: "kernels/bandwidth.mjs" },
  { name: "attention-composed", script: "kernels/attention-composed.bench.mjs" },
  { name: "ladders", script: "kernels/ladders.mjs" },
  { name: "tuner", script: "kernels/tuner.mjs" },
  { name: "ops", script: "peers/ops.mjs" },
  { name: "data-images", script: "data/images.mjs", anyAdapter: true },
  { name: "data-memory", script: "data/memory.mjs", anyAdapter: true },
];

/** Where drivers describe themselves to Vulkan's loader, by packages of Debian and Google. */
const DRIVERS = {
  llvmpipe: [
    "/usr/share/vulkan/icd.d/lvp_icd.json",
    "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "/usr/share/vulkan/icd.d/lvp_icd.aarch64.json",
  ],
  swiftshader: [
    "/usr/lib/chromium/vk_swiftshader_icd.json",
    "/usr/lib/chromium-browser/vk_swiftshader_icd.json",
    "/opt/google/chrome/vk_swiftshader_icd.json",
  ],
};

const { values: options, positionals } = parseArgs({
  options: {
    adapter: { type: "string", default: "default" },
    only: { type: "string", default: "" },
    list: { type: "boolean", default: false },
  },
  allowPositionals: true,
});

try {
  const only = new RegExp(options.only);
  const chosen = benches.filter(({ name }) => only.test(name));
  if (chosen.length === 0)
    throw new Stop(`no benchmark is called so. There are: ${benches.map(({ name }) => name).join(", ")}`);
  const failed = [];
  for (const { name, script, args = [], anyAdapter } of chosen) {
    if (options.list) {
      console.log(`${name.padEnd(20)}node bench/${script} ${args.join(" ")}`);
      continue;
    }
    const env = { XDG_RUNTIME_DIR: tmpdir(), ...process.env, ...(anyAdapter ? {} : driver(options.adapter)) };
    const file = join(root, "bench", script);
    const began = performance.now();
    console.log(`\n== ${name}: bench/${script} ${args.join(" ")}`);
    const { status } = spawnSync(process.execPath, [file, ...args, "--json", "auto", ...positionals], {
      stdio: "inherit",
      env,
    });
    console.log(`-- ${((performance.now() - began) / 1000).toFixed(0)} s`);
    if (status !== 0) failed.push(name);
  }
  if (failed.length > 0) throw new Stop(`failed: ${failed.join(", ")}`);
} catch (failure) {
  fail(failure);
}

/** The environment that makes Vulkan's loader take this driver. */
function driver(name) {
  if (name === "default") return {};
  const files = DRIVERS[name];
  if (!files) throw new Stop(`--adapter ${name}: it is llvmpipe, swiftshader or default.`);
  const found = files.find((file) => existsSync(file));
  if (!found) throw new Stop(`--adapter ${name}: none of these is here: ${files.join(", ")}.`);
  return { VK_ICD_FILENAMES: found, VK_DRIVER_FILES: found };
}
