/**
 * Ten steps of a tiny classifier from fixed weights, the same in every JavaScript: nothing here draws from the device, so that
 * two adapters start from the same bits.
 */
import { DistilBertForSequenceClassification, distilBertConfig } from "@wgrad/models";
import { AdamW, type Device, Tensor } from "@wgrad/tensor";

const STEPS = 10;
const [BATCH, TOKENS, VOCABULARY] = [4, 12, 40];

/** Numbers in [0, 1): a linear congruential generator. */
export function* uniform(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

/** Trains and returns the loss before each step and after the last. */
export async function trainTiny(device: Device): Promise<number[]> {
  const random = uniform(7);
  const next = () => random.next().value;
  const model = new DistilBertForSequenceClassification(
    device,
    distilBertConfig({
      vocab_size: VOCABULARY,
      dim: 32,
      n_heads: 4,
      n_layers: 2,
      hidden_dim: 64,
      max_position_embeddings: 16,
      num_labels: 3,
      dropout: 0,
      attention_dropout: 0,
      seq_classif_dropout: 0,
    }),
  );
  for (const [name, parameter] of model.namedParameters()) {
    const centre = /LayerNorm.weight|_layer_norm.weight/.test(name) ? 1 : 0;
    parameter.copy_(Float32Array.from({ length: parameter.numel }, () => centre + 0.2 * (next() - 0.5)));
  }
  model.train();
  const count = BATCH * TOKENS;
  const ids = Int32Array.from({ length: count }, () => 1 + Math.floor(next() * (VOCABULARY - 1)));
  // Rows of different lengths, the rest of each is padding.
  const seen = Int32Array.from({ length: count }, (_, i) =>
    i % TOKENS < TOKENS - 2 * Math.floor(i / TOKENS) ? 1 : 0,
  );
  const inputIds = Tensor.from(
    device,
    ids.map((id, i) => id * seen[i]!),
    [BATCH, TOKENS],
  );
  const attentionMask = Tensor.from(device, seen, [BATCH, TOKENS]);
  const labels = Tensor.from(device, new Int32Array([0, 1, 2, 1]), [BATCH]);
  const optimizer = new AdamW([...model.parameters()], { lr: 5e-3, weightDecay: 0.01 });
  const losses: number[] = [];
  for (let step = 0; step <= STEPS; step++) {
    const { loss, logits } = model.forward({ inputIds, attentionMask, labels });
    losses.push(await loss!.item());
    if (step < STEPS) {
      loss!.backward();
      optimizer.step();
      optimizer.zeroGrad();
    }
    loss!.dispose();
    logits.dispose();
  }
  optimizer.dispose();
  model.dispose();
  for (const tensor of [inputIds, attentionMask, labels]) tensor.dispose();
  return losses;
}
