import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { type Device, manualSeed, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { getPeftModel } from "../peft-model.js";
import type { LoraConfig } from "./config.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const sizes = {
  ...{ vocab_size: 30, max_position_embeddings: 8, dim: 16, hidden_dim: 32, n_layers: 2, n_heads: 2 },
  ...{ dropout: 0, attention_dropout: 0, seq_classif_dropout: 0 },
};

/** The dispatches of backward, as `operation kernel`. */
function backwardOf(config: Partial<LoraConfig> | null): string[] {
  manualSeed(device, 3);
  const base = new DistilBertForSequenceClassification(device, distilBertConfig(sizes)).initAllWeights();
  const model = config
    ? getPeftModel(base, { r: 4, targetModules: ["q_lin", "v_lin"], taskType: "SEQ_CLS", ...config })
    : base;
  const traced = device.trace(() =>
    scope(() => {
      const ids = Tensor.from(device, Int32Array.of(1, 5, 9, 2, 1, 7, 2, 0), [2, 4]);
      const labels = Tensor.from(device, Int32Array.of(0, 1), [2]);
      model.train().forward({ inputIds: ids, labels }).loss!.backward();
    }),
  );
  model.dispose();
  return traced
    .filter(({ place }) => place.phase === "backward")
    .map(({ place, kernel }) => `${place.op} ${kernel.name}`);
}

const count = (list: readonly string[], pattern: RegExp) => list.filter((text) => pattern.test(text)).length;
/** Kernels of gradients of embeddings, and of weights and biases of normalisations. */
const frozen = /embedding|layer_norm\.(columns|backward\.columns|affine|weight)/;

describe("backward of a model with adapters", () => {
  it("makes no gradient of frozen embeddings, normalisations, weights and biases", () => {
    const whole = backwardOf(null);
    const lora = backwardOf({});
    expect(count(whole, frozen)).toBeGreaterThan(4);
    expect(count(lora, frozen)).toBe(0);
    // One product a normalisation and one each for the two of the feed-forward part, as far down as the lowest adapter.
    expect(count(lora, /^feed_forward matmul/)).toBe(4);
    // The output's and the keys' gradient of what they are given; of the lowest layer's keys nobody wants one.
    expect(count(lora, /^linear matmul/)).toBe(2 + 1 + 2);
    // One more for each adapter with something below it, where the kernel of its product takes no second pair.
    expect([14, 16]).toContain(count(lora, /^linear_low_rank matmul/));
  });

  it("ends at the lowest adapter", () => {
    const upper = backwardOf({ layersToTransform: [1] });
    expect(count(upper, frozen)).toBe(0);
    expect(count(upper, /^feed_forward matmul/)).toBe(2);
    expect(count(upper, /^linear_low_rank matmul/)).toBe(2 * 3);
    expect(count(upper, /^scaledDotProductAttention attention\.backward/)).toBe(1);
  });
});
