// jax-js' training step: forward, backward and AdamW in one jitted function, as its documentation advises.
import { adapterInfo, gpuDone, provideNavigator, quietly } from "../../lib/dawn.mjs";
import { readTransposed } from "../../lib/step-data.mjs";

provideNavigator();
const jax = await import("@jax-js/jax");
const { jit, nn, numpy: np, valueAndGrad } = jax;

/** Puts numbers on the device. */
function put(numbers, shape) {
  const dtype = numbers instanceof Int32Array ? np.int32 : np.float32;
  return jax.devicePut(np.array(numbers, { dtype }).reshape(shape), "webgpu");
}

/** Logits [batch, 2]. jax-js counts references: every use but the last takes a `.ref`. */
function logits(p, ids, bias, { layers, dim, heads, batch, tokens }) {
  const linear = (x, name) => np.matmul(x, p[`${name}.weight`]).add(p[`${name}.bias`]);
  const norm = (x, name) =>
    nn.standardize(x, -1, { epsilon: 1e-12 }).mul(p[`${name}.weight`]).add(p[`${name}.bias`]);
  const embeddings = "distilbert.embeddings";
  const words = np.take(p[`${embeddings}.word_embeddings.weight`], ids, 0);
  const positions = p[`${embeddings}.position_embeddings.weight`].slice([0, tokens]);
  let h = norm(words.add(positions), `${embeddings}.LayerNorm`).reshape([batch * tokens, dim]);
  for (let i = 0; i < layers; i++) {
    const layer = `distilbert.transformer.layer.${i}`;
    const split = (x, order) => x.reshape([batch, tokens, heads, dim / heads]).transpose(order);
    const q = split(linear(h.ref, `${layer}.attention.q_lin`), [0, 2, 1, 3]);
    const k = split(linear(h.ref, `${layer}.attention.k_lin`), [0, 2, 3, 1]);
    const v = split(linear(h.ref, `${layer}.attention.v_lin`), [0, 2, 1, 3]);
    const scores = np
      .matmul(q, k)
      .mul(1 / Math.sqrt(dim / heads))
      .add(i < layers - 1 ? bias.ref : bias);
    const attended = np.matmul(nn.softmax(scores, -1), v).transpose([0, 2, 1, 3]);
    const context = linear(attended.reshape([batch * tokens, dim]), `${layer}.attention.out_lin`);
    h = norm(context.add(h), `${layer}.sa_layer_norm`);
    const inner = nn.gelu(linear(h.ref, `${layer}.ffn.lin1`), { approximate: false });
    h = norm(linear(inner, `${layer}.ffn.lin2`).add(h), `${layer}.output_layer_norm`);
  }
  const first = h.reshape([batch, tokens, dim]).slice([], 0);
  return linear(nn.relu(linear(first, "pre_classifier")), "classifier");
}

/** New parameter and moments; `c1` and `c2` correct the moments' bias towards zero. */
function adamw(p, m, v, g, c1, c2, { lr, beta1, beta2, eps, weightDecay }) {
  const m2 = m.mul(beta1).add(g.ref.mul(1 - beta1));
  const v2 = v.mul(beta2).add(np.square(g).mul(1 - beta2));
  const update = m2.ref
    .mul(c1)
    .mul(lr)
    .div(np.sqrt(v2.ref.mul(c2)).add(eps));
  return [p.mul(1 - lr * weightDecay).sub(update), m2, v2];
}

/** Makes model and optimizer; the answer is what bench/peers/step-worker.mjs drives. */
export async function open(data) {
  const { config, optimizer } = data;
  const { batch, tokens } = config;
  await jax.init("webgpu");
  jax.defaultDevice("webgpu");
  let [parameters, first, second] = [{}, {}, {}];
  for (const name of data.shapes.keys()) {
    const { shape, numbers } = readTransposed(data, name);
    parameters[name] = await put(numbers, shape);
    first[name] = np.zeros(shape);
    second[name] = np.zeros(shape);
  }
  const ids = await put(data.ids, [batch, tokens]);
  const bias = await put(
    Float32Array.from(data.mask, (m) => (m ? 0 : -1e9)),
    [batch, 1, 1, tokens],
  );
  const classes = Float32Array.from({ length: 2 * batch }, (_, i) => Number(data.labels[i >> 1] === i % 2));
  const target = await put(classes, [batch, 2]);
  const lossOf = (p, i, b, t) =>
    nn
      .logSoftmax(logits(p, i, b, config), -1)
      .mul(t)
      .sum()
      .mul(-1 / batch);
  const train = jit((p, m, v, corrections, i, b, t) => {
    const kept = Object.fromEntries(Object.entries(p).map(([name, value]) => [name, value.ref]));
    const [loss, gradients] = valueAndGrad(lossOf)(kept, i, b, t);
    const next = [{}, {}, {}];
    const c1 = corrections.ref.slice(0);
    const c2 = corrections.slice(1);
    for (const name in p) {
      const made = adamw(p[name], m[name], v[name], gradients[name], c1.ref, c2.ref, optimizer);
      for (const [j, value] of made.entries()) next[j][name] = value;
    }
    c1.dispose();
    c2.dispose();
    return [loss, ...next];
  });
  let [loss, steps] = [null, 0];
  return {
    adapter: await adapterInfo(),
    step() {
      const t = ++steps;
      const corrections = np.array([1 / (1 - optimizer.beta1 ** t), 1 / (1 - optimizer.beta2 ** t)]);
      [loss, parameters, first, second] = train(
        parameters,
        first,
        second,
        corrections,
        ids.ref,
        bias.ref,
        target.ref,
      );
    },
    async synchronize() {
      await quietly(jax.blockUntilReady([loss, parameters, first, second]));
      await gpuDone();
    },
    loss: async () => (await loss.data())[0],
  };
}
