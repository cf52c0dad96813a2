// Ways to make the same training step, measured one after the other in turns, so that what else the machine does meets all alike.
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AdamW, scope } from "@wgrad/tensor";
import { median, timed } from "../lib/measure.mjs";

/**
 * Milliseconds of a call of each way: medians over `rounds` of A B C A B C …, after `warmup` calls of each that compile and record.
 * @param {{ name: string, step: () => Promise<unknown> }[]} ways
 */
export async function inTurn(ways, { rounds, warmup = 2, onRound = () => {} }) {
  for (const { step } of ways) for (let i = 0; i < warmup; i++) await step();
  const samples = ways.map(() => []);
  for (let round = 0; round < rounds; round++) {
    for (const [i, { step }] of ways.entries()) samples[i].push(await timed(step));
    onRound(round + 1);
  }
  return ways.map(({ name }, i) => ({
    name,
    cpu: median(samples[i].map(({ cpu }) => cpu)),
    wall: median(samples[i].map(({ wall }) => wall)),
    samples: samples[i].map(({ cpu }) => Math.round(cpu)),
  }));
}

/** The classifier of `step-data.mjs` on a device, with its random weights. `settings` replace those of its config.json. */
export async function stepModel(device, data, settings = {}) {
  const { layers, dim, heads, vocabulary } = data.config;
  const config = distilBertConfig({
    vocab_size: vocabulary,
    n_layers: layers,
    n_heads: heads,
    dim,
    hidden_dim: 4 * dim,
    dropout: 0,
    attention_dropout: 0,
    seq_classif_dropout: 0,
    ...settings,
  });
  const model = new DistilBertForSequenceClassification(device, config);
  await model.loadWeights({
    name: "random weights",
    shapes: data.shapes,
    read: async (name) => data.read(name),
  });
  return model.train();
}

/**
 * A function that makes one training step of a model: forward, loss, backward, AdamW over what is trained. Its `optimizer` is
 * that AdamW.
 * @param {() => object} upload what the model's forward is given, made anew for each step
 */
export function trainingStep(device, model, optimizerOptions, upload) {
  const { lr, beta1, beta2, eps, weightDecay } = optimizerOptions;
  const trained = [...model.parameters()].filter((p) => p.requiresGrad);
  const optimizer = new AdamW(trained, { lr, betas: [beta1, beta2], eps, weightDecay });
  const step = async () => {
    scope(() => {
      model.forward(upload()).loss.backward();
      optimizer.step();
      optimizer.zeroGrad();
    });
    await device.synchronize();
  };
  return Object.assign(step, { optimizer });
}

/**
 * Bytes of buffers that a forward and backward pass holds at its peak beside what was there before: activations, and what is made
 * on the way. Gradients are there before, so that they do not count.
 * @param {() => { loss: import("@wgrad/tensor").Tensor }} forward
 */
export async function activationBytes(device, forward) {
  const pass = () => scope(() => void forward().loss.backward());
  pass();
  await device.synchronize();
  // Buffers left over from other passes may be larger than what is asked for, up to twice.
  device.emptyCache();
  const { liveBytes } = device.memory();
  device.pool.resetPeak();
  pass();
  await device.synchronize();
  return device.memory().peakLiveBytes - liveBytes;
}
