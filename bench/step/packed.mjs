// What padding costs: training steps on Rotten Tomatoes' own lengths, batches in random order, with rows padded to one length and
// with rows one behind the other.
//
//   node bench/step/packed.mjs [--model FOLDER] [--dataset FOLDER] [--batch-size 16] [--bucket 64] [--batches 8] [--json FILE]
//
// FOLDERs default to those below WGRAD_SHARED. The batches are spread evenly over those of an epoch by the length of their longest
// row. Each is trained on in each way, one after the other; processor time is summed over the batches. Dropout is on, so losses
// differ as two seeds do; the models' tests compare them without.
import { parseArgs } from "node:util";
import { AutoModelForSequenceClassification } from "@wgrad/models/node";
import { AdamW, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { dataCollatorWithFlattening, dataCollatorWithPadding } from "@wgrad/trainer";
import { timed } from "../lib/measure.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { readBatches, sources, spread } from "../lib/rotten-tomatoes.mjs";

const { values: options } = parseArgs({
  options: {
    ...sources,
    "batch-size": { type: "string", default: "16" },
    batches: { type: "string", default: "8" },
    bucket: { type: "string", default: "64" },
    json: { type: "string" },
  },
});
const batchSize = Number(options["batch-size"]);
const { tokenizer, batches: epoch } = await readBatches(options, { batchSize });
const longest = (batch) => Math.max(...batch.map(({ inputIds }) => inputIds.length));
const batches = spread(epoch, Number(options.batches), longest);
const device = await openDevice();
const { model } = await AutoModelForSequenceClassification.fromPretrained(device, options.model, {
  numLabels: 2,
  onWarning: () => {},
});
model.train();
const optimizer = new AdamW([...model.parameters()], { lr: 5e-5 });

const integers = (data, shape) => Tensor.from(device, data, shape);
const flattened = dataCollatorWithFlattening(tokenizer, {
  padToMultipleOf: Number(options.bucket),
});
const padded = (padToMultipleOf) => ({
  collate: dataCollatorWithPadding(tokenizer, { padToMultipleOf }),
  upload: ({ inputIds, attentionMask, batchSize: B, length }) => ({
    inputIds: integers(inputIds, [B, length]),
    attentionMask: integers(attentionMask, [B, length]),
  }),
  positions: ({ batchSize: B, length }) => B * length,
});
const ways = [
  { name: "padded to the longest", ...padded(1) },
  { name: "padded to the longest, in eights", ...padded(8) },
  {
    name: `one behind the other, to ${options.bucket}s`,
    collate: flattened,
    upload: ({ inputIds, positionIds, cuSeqlens, batchSize: B, length }) => ({
      inputIds: integers(inputIds, [length]),
      positionIds: integers(positionIds, [length]),
      cuSeqlens: integers(cuSeqlens, [B + 1]),
    }),
    positions: ({ length }) => length,
  },
].map((way) => ({ ...way, cpu: 0, wall: 0, computed: 0, tokens: 0 }));

async function step(way, batch) {
  const host = way.collate(batch);
  const spent = await timed(async () => {
    scope(() => {
      const labels = integers(host.labels, [host.batchSize]);
      model.forward({ ...way.upload(host), labels }).loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    await device.synchronize();
  });
  return { ...spent, positions: way.positions(host), tokens: host.numTokens };
}

// Compiles what they need.
for (const way of ways) await step(way, batches[0]);
for (const batch of batches) {
  for (const way of ways) {
    const { cpu, wall, positions, tokens } = await step(way, batch);
    way.cpu += cpu;
    way.wall += wall;
    way.computed += positions;
    way.tokens += tokens;
  }
}

const [before, , after] = ways;
/** Positions of the whole epoch. */
const positionsOf = ({ collate, positions }) =>
  epoch.reduce((sum, batch) => sum + positions(collate(batch)), 0);
const rows = ways.map((way) => ({
  name: way.name,
  cpu: way.cpu / batches.length,
  wall: way.wall / batches.length,
  positions: way.computed / batches.length,
  padding: 1 - way.tokens / way.computed,
  epochPositions: positionsOf(way),
}));
const checks = [
  { what: "CPU time of a packed step / a padded step", found: after.cpu / before.cpu, atMost: 0.65 },
];
console.log(`${device.description}: ${options.model}, batches of ${batchSize}, one training step\n`);
console.log(
  table(
    ["rows", "CPU ms", "wall ms", "positions", "padding", "positions of an epoch"],
    rows.map((r) => [
      r.name,
      short(r.cpu),
      short(r.wall),
      short(r.positions),
      `${(100 * r.padding).toFixed(0)}%`,
      r.epochPositions.toLocaleString("en-US"),
    ]),
  ),
);
const share = rows[2].epochPositions / rows[0].epochPositions;
console.log(`\nof an epoch's positions: ${short(share)}\n\n${checkTable(checks)}`);
if (options.json)
  writeJson(options.json, "step-packed", device.info, { batchSize, batches: batches.length, rows, checks });
device.close();
