// TensorFlow.js' training step: variables, `tf.variableGrads`, `tf.train.adam`, and the weight decay beside it.
import { adapterInfo } from "../../lib/dawn.mjs";
import { readTransposed } from "../../lib/step-data.mjs";
import { gelu, layerNorm, synchronize, tf } from "./tfjs.mjs";

/** Logits [batch, 2]. */
function logits(p, ids, bias, { layers, dim, heads, batch, tokens }) {
  const linear = (x, name) => tf.matMul(x, p[`${name}.weight`]).add(p[`${name}.bias`]);
  const norm = (x, name) => layerNorm(x, p[`${name}.weight`], p[`${name}.bias`]);
  const embeddings = "distilbert.embeddings";
  const words = tf.gather(p[`${embeddings}.word_embeddings.weight`], ids);
  const positions = tf.slice(p[`${embeddings}.position_embeddings.weight`], [0, 0], [tokens, dim]);
  let h = norm(words.add(positions).reshape([batch * tokens, dim]), `${embeddings}.LayerNorm`);
  for (let i = 0; i < layers; i++) {
    const layer = `distilbert.transformer.layer.${i}`;
    const project = (name) =>
      linear(h, `${layer}.attention.${name}`)
        .reshape([batch, tokens, heads, dim / heads])
        .transpose([0, 2, 1, 3]);
    const scores = tf.matMul(project("q_lin"), project("k_lin"), false, true).mul(1 / Math.sqrt(dim / heads));
    const attended = tf.matMul(tf.softmax(scores.add(bias)), project("v_lin")).transpose([0, 2, 1, 3]);
    const context = linear(attended.reshape([batch * tokens, dim]), `${layer}.attention.out_lin`);
    h = norm(context.add(h), `${layer}.sa_layer_norm`);
    const inner = gelu(linear(h, `${layer}.ffn.lin1`));
    h = norm(linear(inner, `${layer}.ffn.lin2`).add(h), `${layer}.output_layer_norm`);
  }
  const first = tf.slice(h.reshape([batch, tokens, dim]), [0, 0, 0], [batch, 1, dim]).reshape([batch, dim]);
  return linear(tf.relu(linear(first, "pre_classifier")), "classifier");
}

/** Makes model and optimizer; the answer is what bench/peers/step-worker.mjs drives. */
export async function open(data) {
  const { batch, tokens } = data.config;
  const { lr, beta1, beta2, eps, weightDecay } = data.optimizer;
  await tf.setBackend("webgpu");
  const parameters = {};
  for (const name of data.shapes.keys()) {
    const { shape, numbers } = readTransposed(data, name);
    parameters[name] = tf.variable(tf.tensor(numbers, shape), true, name);
  }
  const ids = tf.tensor(data.ids, [batch, tokens], "int32");
  const bias = tf.tensor(
    Float32Array.from(data.mask, (m) => (m ? 0 : -1e9)),
    [batch, 1, 1, tokens],
  );
  const target = tf.oneHot(tf.tensor(data.labels, [batch], "int32"), 2).toFloat();
  const adam = tf.train.adam(lr, beta1, beta2, eps);
  const lossOf = () =>
    tf
      .logSoftmax(logits(parameters, ids, bias, data.config))
      .mul(target)
      .sum()
      .mul(-1 / batch);
  let loss = null;
  return {
    adapter: await adapterInfo(),
    step() {
      const { value, grads } = tf.tidy(() => tf.variableGrads(lossOf));
      tf.tidy(() => {
        for (const parameter of Object.values(parameters))
          parameter.assign(parameter.mul(1 - lr * weightDecay));
      });
      adam.applyGradients(grads);
      tf.dispose(grads);
      loss = value;
    },
    synchronize,
    async loss() {
      const [value] = await loss.data();
      loss.dispose();
      return value;
    },
  };
}
