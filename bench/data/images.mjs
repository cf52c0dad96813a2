// The image pipeline alone: images a second read, decoded, resized and normalised, beside PyTorch's DataLoader with Pillow on the same
// files, in turns; the same from the decode cache; and how long a training loop waits for its batches.
//
//   node bench/data/images.mjs [--data <folder of Tiny ImageNet's Parquet>] [--python <python3>] [--images 384] [--rounds 3]
//                              [--step-ms 8200] [--json file|auto]
//
// The first pictures of the train split are written to a folder, from which both read. Each library runs in a process of its own that
// keeps its workers; one works at a time, in rounds (A B A B …), and medians count. Processor time is that of all threads and worker
// processes, which other work on the machine changes less than images a second. The Python needs torch, pillow and numpy; without it
// the peer is left out. --step-ms is what a training step takes on the GPU: a LoRA step of ViT-B/16 with 4 pictures takes 16.5 seconds of
// processor time on llvmpipe (step/clip-vit.mjs), half of that on two idle cores. A step of 100 ms, as on a small GPU, is shown beside it.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { loadDataset } from "../../packages/datasets/dist/index.js";
import { fail, root } from "../../scripts/lib/shell.mjs";
import { median } from "../lib/measure.mjs";
import { start } from "../lib/process.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";

const { values: options } = parseArgs({
  options: {
    data: {
      type: "string",
      default: join(process.env.WGRAD_SHARED ?? join(root, "../shared"), "data/tiny_imagenet"),
    },
    python: { type: "string", default: "python3" },
    images: { type: "string", default: "384" },
    rounds: { type: "string", default: "3" },
    "step-ms": { type: "string", default: "8200" },
    json: { type: "string" },
  },
});
const BATCH = 16;
const SIZES = [224, 64];
const WORKERS = [1, 2];
const temporary = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
const folder = join(temporary, "pictures");

/** The Python of --python as one that answers, null where it lacks a package. */
function startTorch() {
  const probe = spawnSync(options.python, ["-c", "import torch, PIL, numpy"], { encoding: "utf8" });
  if (probe.status !== 0) {
    process.stderr.write(
      `${options.python} has no torch, pillow and numpy: wgrad is measured alone (--python names another).\n`,
    );
    return null;
  }
  const child = spawn(options.python, [join(root, "bench/data/torch-loader.py")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  return {
    async ask(request) {
      child.stdin.write(`${JSON.stringify(request)}\n`);
      const { value, done } = await lines.next();
      if (done) throw new Error("the Python process ended; its stderr says why");
      return JSON.parse(value);
    },
    end: () => child.stdin.end(),
  };
}

/** Tiny ImageNet's pictures as files of a folder, spread over its classes. */
function writePictures() {
  const train = loadDataset(options.data, { split: "train" });
  const count = Number(options.images);
  const step = Math.floor(train.numRows / count);
  mkdirSync(join(folder, "train"), { recursive: true });
  return Array.from({ length: count }, (_, i) => {
    const { image } = train.at(i * step);
    const file = join(folder, "train", `${String(i).padStart(6, "0")}.jpg`);
    writeFileSync(file, image.bytes);
    return file;
  });
}

const wgrad = start(new URL("loader-worker.mjs", import.meta.url), ["wgrad"]);
const torch = startTorch();
try {
  const files = writePictures();
  const samples = new Map();
  let versions = null;
  const note = (key, { wall, cpu, images }) => {
    const known = samples.get(key) ?? { wall: [], cpu: [] };
    known.wall.push(images / wall);
    known.cpu.push((1000 * cpu) / images);
    samples.set(key, known);
  };
  let difference = 0;
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const size of SIZES) {
      for (const workers of WORKERS) {
        const ours = await wgrad.ask("measure", { folder, size, workers, batchSize: BATCH });
        note(`wgrad/${size}/${workers}`, ours);
        if (torch !== null) {
          const theirs = await torch.ask({ files, size, workers, batch_size: BATCH });
          versions = theirs.versions;
          note(`torch/${size}/${workers}`, theirs);
          for (const [i, value] of ours.sample.entries())
            difference = Math.max(difference, Math.abs(value - theirs.sample[i]));
        }
        const cacheDir = join(temporary, "cache");
        const cached = await wgrad.ask("measure", { folder, size, workers, batchSize: BATCH, cacheDir });
        if (cached.cacheHits !== cached.images)
          throw new Error(`${cached.cacheHits} of the pictures were cached`);
        note(`cached/${size}/${workers}`, cached);
      }
    }
  }
  const measured = [...samples].map(([key, { wall, cpu }]) => {
    const [name, size, workers] = key.split("/");
    return {
      name,
      size: Number(size),
      workers: Number(workers),
      imagesPerSecond: median(wall),
      cpuMsPerImage: median(cpu),
      samples: wall,
    };
  });
  const find = (name, size, workers) =>
    measured.find((m) => m.name === name && m.size === size && m.workers === workers);
  // Steps of 4 pictures at 224 whose time the GPU takes: here the loop sleeps.
  const waits = [];
  for (const [stepMs, steps] of [
    [Number(options["step-ms"]), 4],
    [100, 40],
  ]) {
    const request = { folder, size: 224, workers: 2, batchSize: 4, stepMs, steps };
    waits.push({ stepMs, ...(await wgrad.ask("wait", request)) });
  }
  const needMs = 4 * find("wgrad", 224, 2).cpuMsPerImage;
  const checks = [
    {
      what: `share of a step of ${waits[0].stepMs} ms (batch 4, 224) spent waiting for input`,
      found: waits[0].share,
      atMost: 0.01,
    },
  ];
  console.log(
    `${files.length} JPEG pictures of 64 x 64, batches of ${BATCH}, medians of ${options.rounds} rounds\n`,
  );
  const names = { wgrad: "wgrad", torch: "torch DataLoader, Pillow", cached: "wgrad, decode cache" };
  const rows = SIZES.flatMap((size) =>
    WORKERS.flatMap((workers) =>
      Object.entries(names)
        .map(([name, label]) => [label, find(name, size, workers)])
        .filter(([, m]) => m !== undefined)
        .map(([label, m]) => [label, size, workers, short(m.imagesPerSecond), short(m.cpuMsPerImage)]),
    ),
  );
  console.log(`${table(["", "to", "workers", "images/s", "CPU ms/image"], rows)}\n`);
  console.log(`The input of a step, 4 pictures at 224, takes ${short(needMs)} ms of processor time.`);
  for (const { stepMs, waitedMs, share } of waits) {
    console.log(
      `A loop with steps of ${stepMs} ms waited ${short(waitedMs)} ms a step (${short(100 * share)}%).`,
    );
  }
  if (torch !== null) console.log(`Largest difference of pixel values: ${short(difference)}\n`);
  console.log(checkTable(checks));
  writeJson(
    options.json,
    "data-images",
    { vendor: "", architecture: "", device: "host", description: "host" },
    {
      images: files.length,
      batchSize: BATCH,
      rounds: Number(options.rounds),
      versions,
      measured,
      inputCpuMsOfABatchOf4: needMs,
      waits,
      largestDifference: torch === null ? null : difference,
      checks,
    },
  );
} catch (failure) {
  fail(failure);
} finally {
  wgrad.end();
  torch?.end();
  rmSync(temporary, { recursive: true, force: true });
}
