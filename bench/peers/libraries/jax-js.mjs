// jax-js's side of bench/peers/ops.mjs: every operation in `jit`, gradients by `vjp`, as its documentation advises.
import { adapterInfo, gpuDone, provideNavigator, quietly } from "../../lib/dawn.mjs";

provideNavigator();
const jax = await import("@jax-js/jax");
const { jit, nn, numpy: np, vjp } = jax;

/** Each operation as a function of its f32 inputs; jax-js counts references, and a use consumes one. */
const operations = {
  matmul: (a, b) => np.matmul(a, b),
  attention: (q, k, v) => {
    const scores = np.matmul(q, k.transpose([0, 1, 3, 2])).mul(1 / Math.sqrt(q.shape.at(-1)));
    return np.matmul(nn.softmax(scores, -1), v);
  },
  layerNorm: (x, weight, bias) => nn.standardize(x, -1, { epsilon: 1e-12 }).mul(weight).add(bias),
  softmax: (x) => nn.softmax(x, -1),
  gelu: (x) => nn.gelu(x, { approximate: false }),
};

/** Result and gradients of all f32 inputs; the last argument is the gradient of the result. */
function withGradients(op) {
  if (op === "embedding") {
    return (table, ids, dy) => {
      const [y, backward] = vjp((t) => np.take(t, ids, 0), [table]);
      return [y, ...backward(dy)];
    };
  }
  return (...inputs) => {
    const dy = inputs.pop();
    const [y, backward] = vjp(operations[op], inputs);
    return [y, ...backward(dy)];
  };
}

/** Opens the device; the answer is what bench/peers/worker.mjs drives. */
export async function open() {
  await jax.init("webgpu");
  jax.defaultDevice("webgpu");
  return {
    adapter: await adapterInfo(),
    upload: async (numbers, shape) => {
      const dtype = numbers instanceof Int32Array ? np.int32 : np.float32;
      return jax.devicePut(np.array(numbers, { dtype }).reshape(shape), "webgpu");
    },
    prepare(op, { dy, ...inputs }) {
      const values = Object.values(inputs);
      const forward = op === "embedding" ? null : jit(operations[op]);
      const both = jit(withGradients(op));
      return {
        forward: () => [forward(...values.map((value) => value.ref))],
        both: () => both(...values.map((value) => value.ref), dy.ref),
      };
    },
    async repeat(call, times) {
      const held = [];
      for (let i = 0; i < times; i++) held.push(...call());
      await quietly(jax.blockUntilReady(held));
      await gpuDone();
      jax.tree.dispose(held);
    },
    read: (array) => array.ref.data(),
    free: (arrays) => {
      for (const array of arrays) array.dispose();
    },
  };
}
