// Peak memory of the image pipeline over a data set of 1,000 and one of 20,000 pictures: Parquet shards, read, decoded in 2 threads and
// made into batches that are let go, in the files' order and in a random one across all shards.
//
// What is asked is that memory does not depend on the data set's length: the same number of pictures goes through, the few as often as
// it takes. One pass over the few is shown as well: a Node process grows by some tens of MiB over its first thousands of pictures,
// whatever they are (V8 widens the space for young objects; what is alive after a collection stays the same to 0.3 MiB).
//
//   node bench/data/memory.mjs [--data <folder of Tiny ImageNet's Parquet>] [--few 1000] [--many 20000] [--size 64] [--rounds 3]
//                              [--json file|auto]
//
// Each run is a process of its own; its peak is Linux's VmHWM of the process with its threads. Rounds are interleaved, medians count.
import { join } from "node:path";
import { parseArgs } from "node:util";
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
    few: { type: "string", default: "1000" },
    many: { type: "string", default: "20000" },
    size: { type: "string", default: "64" },
    rounds: { type: "string", default: "3" },
    json: { type: "string" },
  },
});
const [few, many, size] = [options.few, options.many, options.size].map(Number);
const passes = Math.round(many / few);
const lengths = [
  { count: few, passes: 1 },
  { count: few, passes },
  { count: many, passes: 1 },
];
const kinds = [
  { name: "in order", shuffle: false, training: false },
  { name: "shuffled across shards, augmented", shuffle: true, training: true },
];

try {
  const runs = [];
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const kind of kinds) {
      for (const { count, passes } of lengths) {
        const child = start(new URL("loader-worker.mjs", import.meta.url), [`${count}`]);
        try {
          const request = { folder: options.data, count, passes, size, workers: 2, batchSize: 16, ...kind };
          runs.push({ kind: kind.name, count, passes, ...(await child.ask("memory", request)) });
        } finally {
          child.end();
        }
      }
    }
  }
  const of = (kind, length) =>
    runs.filter((run) => run.kind === kind && run.count === length.count && run.passes === length.passes);
  const peak = (kind, length) => median(of(kind, length).map((run) => run.peakMiB));
  const checks = kinds.map(({ name }) => ({
    what: `peak of ${many} pictures over that of ${few}, ${passes} times, ${name}`,
    found: peak(name, lengths[2]) / peak(name, lengths[1]),
    atMost: 1.05,
  }));
  console.log(
    `Pictures to ${size} x ${size}, 2 threads, batches of 16, medians of ${options.rounds} rounds\n`,
  );
  const rows = kinds.flatMap(({ name }) =>
    lengths.map((length) => {
      const mine = of(name, length);
      const seconds = median(mine.map((run) => run.seconds));
      const cached = Math.max(...mine.map((run) => run.read.peakCachedBytes));
      return [
        name,
        `${length.passes} x ${length.count}`,
        peak(name, length),
        short(cached / 2 ** 20),
        short(seconds),
        short(mine[0].images / seconds),
      ];
    }),
  );
  const head = ["", "pictures", "peak MiB", "of it places in the files, MiB", "seconds", "images/s"];
  console.log(`${table(head, rows)}\n`);
  console.log(checkTable(checks));
  writeJson(
    options.json,
    "data-memory",
    { vendor: "", architecture: "", device: "host", description: "host" },
    {
      few,
      many,
      size,
      runs,
      checks,
    },
  );
} catch (failure) {
  fail(failure);
}
