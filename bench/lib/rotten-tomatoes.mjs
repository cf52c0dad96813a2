// Batches of Rotten Tomatoes as training meets them: its own lengths, in random order.
import { join, resolve } from "node:path";
import { loadDataset, permutation } from "@wgrad/datasets";
import { AutoTokenizer } from "@wgrad/models/node";
import { root } from "../../scripts/lib/shell.mjs";

const shared = process.env.WGRAD_SHARED ?? resolve(root, "../shared");

/** Options that say where checkpoint and data lie, and where they are looked for by default. */
export const sources = {
  model: { type: "string", default: join(shared, "checkpoints/minilm-distilbert") },
  dataset: { type: "string", default: join(shared, "data/rotten_tomatoes") },
};

/**
 * The batches of an epoch.
 * @param {{ model: string, dataset: string }} where see `sources`
 * @returns `batches`, arrays of { inputIds, label }
 */
export async function readBatches({ model, dataset }, { batchSize, seed = 42, maxLength = 128 }) {
  const tokenizer = await AutoTokenizer.fromPretrained(model);
  const train = loadDataset(dataset).get("train");
  const order = permutation(train.numRows, seed, 0);
  const examples = train.rows(order);
  const ids = tokenizer(
    examples.map(({ text }) => text),
    { truncation: true, maxLength },
  ).inputIds;
  const tokenized = ids.map((inputIds, i) => ({ inputIds, label: Number(examples[i].label) }));
  const batches = [];
  for (let i = 0; i < tokenized.length; i += batchSize) batches.push(tokenized.slice(i, i + batchSize));
  return { tokenizer, batches };
}

/** `count` of the items, evenly spread over their order by `size`: they stand for all of them. */
export function spread(items, count, size) {
  const sorted = [...items].sort((a, b) => size(a) - size(b));
  return Array.from({ length: count }, (_, i) => sorted[Math.floor(((i + 0.5) * sorted.length) / count)]);
}
