// wgrad's image pipeline in a process of its own: an epoch of a folder or of Parquet shards, measured.
import { ImageLoader, loadDataset } from "../../packages/datasets/dist/index.js";
import { peakMiB } from "../lib/measure.mjs";
import { serve } from "../lib/process.mjs";

/** CLIP's numbers. */
const normalization = {
  rescaleFactor: 1 / 255,
  mean: [0.48145466, 0.4578275, 0.40821073],
  std: [0.26862954, 0.26130258, 0.27577711],
};
const clip = (size) => [
  { type: "resize", size, interpolation: "bicubic" },
  { type: "centerCrop", size },
];
const augmented = (size) => [
  { type: "randomResizedCrop", size, scale: [0.5, 1], interpolation: "bicubic" },
  { type: "randomHorizontalFlip" },
];

const loaders = new Map();
/** One loader for all epochs of the same kind, as torch's persistent workers. */
function loaderOf({ size, workers, cacheDir = null }) {
  const key = JSON.stringify([size, workers, cacheDir]);
  if (!loaders.has(key)) {
    loaders.set(
      key,
      new ImageLoader({ transforms: clip(size), normalization, numWorkers: workers, cacheDir }),
    );
  }
  return loaders.get(key);
}

const cpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

async function epoch(loader, dataset, options) {
  let images = 0;
  let sample;
  for await (const batch of loader.batches(dataset, options)) {
    images += batch.ok.length;
    const size = batch.pixelValues.length / batch.shape[0];
    sample = Array.from(batch.pixelValues.subarray(-size).subarray(0, 8));
  }
  return { images, sample };
}

serve({
  /** Images, wall and processor seconds of an epoch, after one that warms up. */
  async measure({ folder, size, workers, batchSize, cacheDir }) {
    const dataset = loadDataset(folder, { split: "train" });
    const isNew = !loaders.has(JSON.stringify([size, workers, cacheDir ?? null]));
    const loader = loaderOf({ size, workers, cacheDir });
    const options = { batchSize };
    if (isNew) await epoch(loader, dataset, options);
    const before = loader.statistics.cacheHits;
    const [cpu, wall] = [cpuSeconds(), performance.now()];
    const { images, sample } = await epoch(loader, dataset, options);
    return {
      images,
      sample,
      wall: (performance.now() - wall) / 1000,
      cpu: cpuSeconds() - cpu,
      cacheHits: loader.statistics.cacheHits - before,
    };
  },

  /** How long a training loop waits for batches whose steps take `stepMs` on the GPU, which leaves the processor alone. */
  async wait({ folder, size, workers, batchSize, stepMs, steps, cacheDir }) {
    const dataset = loadDataset(folder, { split: "train" }).take(batchSize * steps);
    const loader = loaderOf({ size, workers, cacheDir });
    const batches = loader.batches(dataset, { batchSize });
    await batches.next();
    let waited = 0;
    const start = performance.now();
    for (let step = 1; step < steps; step++) {
      await new Promise((resolve) => setTimeout(resolve, stepMs));
      const from = performance.now();
      await batches.next();
      waited += performance.now() - from;
    }
    return { waitedMs: waited / (steps - 1), share: waited / (performance.now() - start) };
  },

  /** Peak memory over the first rows of Parquet shards, in the file's order or a random one across all shards. */
  async memory({ folder, count, passes, size, workers, batchSize, shuffle, training }) {
    const whole = loadDataset(folder, { split: "train" });
    const dataset = (shuffle ? whole.shuffle({ seed: 1 }) : whole).take(count);
    const loader = new ImageLoader({
      transforms: training ? augmented(size) : clip(size),
      normalization,
      numWorkers: workers,
    });
    const wall = performance.now();
    try {
      let images = 0;
      for (let pass = 0; pass < passes; pass++) {
        images += (await epoch(loader, dataset, { batchSize, training, epoch: pass, reuse: true })).images;
      }
      return {
        images,
        peakMiB: peakMiB(),
        seconds: (performance.now() - wall) / 1000,
        peakInFlight: loader.statistics.peakInFlight,
        read: dataset.readStatistics,
      };
    } finally {
      await loader.close();
    }
  },
});
