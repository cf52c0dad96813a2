// wgrad's side of bench/peers/ops.mjs.
import {
  embedding,
  layerNorm,
  matmul,
  noGrad,
  scaledDotProductAttention,
  scope,
  softmax,
  Tensor,
} from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";

/** Each operation as a user writes it. */
const operations = {
  matmul: ({ a, b }) => matmul(a, b),
  attention: ({ q, k, v }) => scaledDotProductAttention(q, k, v),
  layerNorm: ({ x, weight, bias }) => layerNorm(x, [x.size(-1)], weight, bias, 1e-12),
  softmax: ({ x }) => softmax(x, -1),
  gelu: ({ x }) => x.gelu(),
  embedding: ({ table, ids }) => embedding(table, ids),
};

/** Opens the device; the answer is what bench/peers/worker.mjs drives. */
export async function open() {
  const device = await openDevice();
  const { vendor, architecture, device: name, description } = device.info;
  return {
    adapter: { vendor, architecture, device: name, description },
    upload: async (numbers, shape) =>
      Tensor.from(device, numbers, shape, { requiresGrad: numbers instanceof Float32Array }),
    prepare(op, { dy, ...inputs }) {
      const leaves = Object.values(inputs).filter((input) => input.requiresGrad);
      return {
        forward: () => noGrad(() => scope(() => [operations[op](inputs)])),
        both: () =>
          scope(() => {
            const y = operations[op](inputs);
            y.backward({ gradient: dy });
            const gradients = leaves.map((leaf) => leaf.grad);
            for (const leaf of leaves) leaf.grad = null;
            return [y, ...gradients];
          }),
      };
    },
    async repeat(call, times) {
      for (let i = 0; i < times; i++) {
        for (const tensor of call()) tensor.dispose();
        device.submit();
      }
      await device.synchronize();
    },
    read: (tensor) => tensor.detach().toArray(),
    free: (tensors) => {
      for (const tensor of tensors) tensor.dispose();
    },
  };
}
