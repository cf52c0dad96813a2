// wgrad's training step of a DistilBERT classifier: forward, loss, backward, AdamW, in one submission.
//
//   node bench/step/wgrad.mjs [--size mini|base|narrow|tiny] [--steps 5] [--eager]
//
// prints losses, CPU and wall milliseconds, WebGPU calls and memory of each step. bench/peers/step.mjs measures the same beside
// other libraries; `wgrad profile` tells what each kernel of it costs.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AdamW, capture, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { globals } from "webgpu";
import { countCalls, peakMiB, since, timed } from "../lib/measure.mjs";
import { short, table } from "../lib/report.mjs";
import { readStepData, writeStepData } from "../lib/step-data.mjs";

/**
 * Makes model and optimizer.
 * @param {ReturnType<typeof readStepData>} data
 * @param {{ captured?: boolean, dawnFlags?: readonly string[] }} [how] captured: the step is recorded once and replayed
 * @returns what bench/peers/step-worker.mjs drives: `step` enqueues and submits, `synchronize` waits, `loss` reads the last step's
 */
export async function open(data, { captured = false, dawnFlags } = {}) {
  const { layers, dim, heads, vocabulary, batch, tokens } = data.config;
  const { lr, beta1, beta2, eps, weightDecay } = data.optimizer;
  const device = await openDevice({ dawnFlags });
  const config = distilBertConfig({
    vocab_size: vocabulary,
    n_layers: layers,
    n_heads: heads,
    dim,
    hidden_dim: 4 * dim,
    dropout: 0,
    attention_dropout: 0,
    seq_classif_dropout: 0,
  });
  const model = new DistilBertForSequenceClassification(device, config);
  await model.loadWeights({
    name: "random weights",
    shapes: data.shapes,
    read: async (name) => data.read(name),
  });
  model.train();
  const optimizer = new AdamW([...model.parameters()], { lr, betas: [beta1, beta2], eps, weightDecay });
  await device.synchronize();
  const { vendor, architecture, device: name, description } = device.info;

  /** What a batch brings; uploaded outside of the step, which a captured one takes as data. */
  const upload = () => [
    Tensor.from(device, data.ids, [batch, tokens]),
    Tensor.from(device, data.mask, [batch, tokens]),
    Tensor.from(device, data.labels, [batch]),
  ];
  /** Everything the GPU does in a step. */
  const train = (inputIds, attentionMask, labels) => {
    const output = model.forward({ inputIds, attentionMask, labels });
    output.loss.backward();
    optimizer.step();
    optimizer.zeroGrad();
    return output.loss.detach();
  };
  const run = captured ? capture(train) : train;
  let loss = null;
  const step = () => {
    loss = scope(() => run(...upload()));
    device.submit();
  };
  return {
    device,
    adapter: { vendor, architecture, device: name, description },
    step,
    /** The first step: every program of it is compiled ahead, in parallel. */
    first: () => device.prepare(step),
    synchronize: () => device.synchronize(),
    async loss() {
      const value = await loss.item();
      loss.dispose();
      return value;
    },
    memory: () => device.memory(),
  };
}

/** Runs alone: `node bench/step/wgrad.mjs`. */
async function main() {
  const { values: options } = parseArgs({
    options: {
      size: { type: "string", default: "mini" },
      steps: { type: "string", default: "5" },
      eager: { type: "boolean", default: false },
    },
  });
  const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));
  const counts = countCalls(globals);
  writeStepData(folder, options.size);
  const api = await open(readStepData(folder, options.size), { captured: !options.eager });
  rmSync(folder, { recursive: true });
  const rows = [];
  for (let i = 0; i < Number(options.steps); i++) {
    const before = counts();
    const { cpu, wall } = await timed(async () => {
      api.step();
      await api.synchronize();
    });
    const made = since(before, counts());
    rows.push([
      i + 1,
      short(cpu),
      short(wall),
      made.dispatches,
      made.submissions,
      made.buffers,
      made.bindGroups,
      (await api.loss()).toFixed(6),
    ]);
  }
  const way = options.eager ? "eager" : "captured";
  console.log(`${api.adapter.description}: DistilBERT ${options.size}, one training step, ${way}\n`);
  const head = ["step", "CPU ms", "wall ms", "dispatches", "submissions", "buffers", "bind groups", "loss"];
  console.log(table(head, rows));
  const { peakLiveBytes } = api.memory();
  console.log(`\npeak: ${peakMiB()} MiB resident, ${short(peakLiveBytes / 2 ** 20)} MiB of tensors`);
  api.device.close();
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) await main();
