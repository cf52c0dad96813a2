// TensorFlow.js' side of bench/peers/ops.mjs: its WebGPU backend, gradients by `tf.grads`.
import { adapterInfo, gpuDone, provideNavigator } from "../../lib/dawn.mjs";

provideNavigator();
export const { default: tf } = await import("@tensorflow/tfjs");
await import("@tensorflow/tfjs-backend-webgpu");

/** Layer normalisation, which TensorFlow.js has only as a layer of Keras. */
export function layerNorm(x, weight, bias, eps = 1e-12) {
  const { mean, variance } = tf.moments(x, -1, true);
  return x.sub(mean).mul(variance.add(eps).rsqrt()).mul(weight).add(bias);
}

/** The exact GELU. */
export const gelu = (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1));

/** Each operation as a function of its f32 inputs. */
const operations = {
  matmul: (a, b) => tf.matMul(a, b),
  attention: (q, k, v) =>
    tf.matMul(tf.softmax(tf.matMul(q, k, false, true).mul(1 / Math.sqrt(q.shape.at(-1)))), v),
  layerNorm,
  softmax: (x) => tf.softmax(x),
  gelu,
};

/** Hands over what the backend has recorded and waits until the GPU has done it. */
export async function synchronize() {
  const backend = tf.backend();
  backend.endComputePassEncoder();
  if (backend.commandEncoder) backend.submitQueue();
  await gpuDone();
}

/** Opens the device; the answer is what bench/peers/worker.mjs drives. */
export async function open() {
  await tf.setBackend("webgpu");
  return {
    adapter: await adapterInfo(),
    upload: async (numbers, shape) =>
      tf.tensor(numbers, shape, numbers instanceof Int32Array ? "int32" : "float32"),
    prepare(op, { dy, ids, ...inputs }) {
      const operation = op === "embedding" ? (table) => tf.gather(table, ids) : operations[op];
      const values = Object.values(inputs);
      return {
        forward: () => [tf.tidy(() => operation(...values))],
        // `tf.grads` runs forward too but keeps its result to itself.
        both: () => [null, ...tf.tidy(() => tf.grads(operation)(values, dy))],
      };
    },
    async repeat(call, times) {
      for (let i = 0; i < times; i++) tf.dispose(call());
      await synchronize();
    },
    read: (tensor) => tensor.data(),
    free: (tensors) => tf.dispose(tensors),
  };
}
