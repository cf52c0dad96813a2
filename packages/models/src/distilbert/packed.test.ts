// Rows one behind the other give what rows padded to one length give: outputs, loss and every gradient.
import { type Device, manualSeed, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { distilBertConfig } from "./config.js";
import { DistilBertForMaskedLM, DistilBertForSequenceClassification, type HeadInput } from "./heads.js";
import { DistilBertModel } from "./model.js";

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.close());

const config = (dropout = 0) =>
  distilBertConfig({
    vocab_size: 40,
    dim: 32,
    n_heads: 4,
    n_layers: 2,
    hidden_dim: 64,
    max_position_embeddings: 24,
    dropout,
    attention_dropout: dropout,
    seq_classif_dropout: dropout,
  });

const LENGTHS = [3, 1, 17, 8, 2, 9];
/** Behind the last row: tokens that belong to none. */
const SPARE = 8;

const rows = LENGTHS.map((length, i) => Array.from({ length }, (_, t) => 1 + ((i * 11 + t * 7) % 39)));
const integers = (values: readonly number[], shape: readonly number[]) =>
  Tensor.from(device, Int32Array.from(values), shape);

/** Both forms of the batch; a value a token is spread as the tokens are. */
function batches() {
  const longest = Math.max(...LENGTHS);
  const total = LENGTHS.reduce((a, b) => a + b, 0) + SPARE;
  const pad = (perRow: readonly (readonly number[])[], fill: number) =>
    perRow.flatMap((row) => Array.from({ length: longest }, (_, t) => row[t] ?? fill));
  const pack = (perRow: readonly (readonly number[])[], fill: number) => [
    ...perRow.flat(),
    ...Array(SPARE).fill(fill),
  ];
  const places = rows.map((row) => row.map((_, t) => t));
  const offsets = [0];
  for (const length of LENGTHS) offsets.push(offsets.at(-1)! + length);
  return {
    longest,
    offsets,
    padded: {
      inputIds: integers(pad(rows, 0), [rows.length, longest]),
      attentionMask: integers(
        pad(
          rows.map((row) => row.map(() => 1)),
          0,
        ),
        [rows.length, longest],
      ),
    },
    packed: {
      inputIds: integers(pack(rows, 0), [total]),
      positionIds: integers(pack(places, 0), [total]),
      cuSeqlens: integers(offsets, [rows.length + 1]),
    },
    tokens: (perRow: readonly (readonly number[])[]) => ({
      padded: integers(pad(perRow, -100), [rows.length, longest]),
      packed: integers(pack(perRow, -100), [total]),
    }),
  };
}

type Classifier = DistilBertForSequenceClassification | DistilBertForMaskedLM;

async function run(model: Classifier, input: HeadInput) {
  model.zeroGrad();
  const { loss, logits } = scope(() => {
    const made = model.forward(input);
    made.loss!.backward();
    return { loss: made.loss!, logits: made.logits };
  });
  const gradients = new Map<string, Float32Array>();
  for (const [name, p] of model.namedParameters())
    gradients.set(name, (await p.grad!.toArray()) as Float32Array);
  return { loss: await loss.item(), logits: (await logits.toArray()) as Float32Array, gradients };
}

/** The largest difference, as a share of the largest value: rounding leaves some 1e-6. */
function difference(got: Float32Array, want: Float32Array): number {
  expect(got.length).toBe(want.length);
  let largest = 1e-6;
  let most = 0;
  want.forEach((w, i) => {
    largest = Math.max(largest, Math.abs(w));
    const d = Math.abs(got[i]! - w);
    if (!(d <= most)) most = d;
  });
  return most / largest;
}

describe("rows one behind the other", () => {
  it("give a classifier the logits, the loss and every gradient of padded rows", async () => {
    manualSeed(device, 4);
    const model = new DistilBertForSequenceClassification(device, config()).initAllWeights();
    const { padded, packed } = batches();
    const labels = integers([0, 1, 1, 0, 1, 0], [6]);
    const want = await run(model, { ...padded, labels });
    const got = await run(model, { ...packed, labels });
    expect(got.loss).toBeCloseTo(want.loss, 6);
    expect(difference(got.logits, want.logits)).toBeLessThan(1e-5);
    for (const [name, gradient] of want.gradients)
      expect(difference(got.gradients.get(name)!, gradient), name).toBeLessThan(2e-5);
  });

  it("give a masked language model the same for labels a token", async () => {
    manualSeed(device, 5);
    const model = new DistilBertForMaskedLM(device, config()).initAllWeights();
    const { padded, packed, tokens, longest, offsets } = batches();
    const labels = tokens(rows.map((row) => row.map((id, t) => (t % 2 ? -100 : (id * 3) % 40))));
    const want = await run(model, { ...padded, labels: labels.padded });
    const got = await run(model, { ...packed, labels: labels.packed });
    expect(got.loss).toBeCloseTo(want.loss, 5);
    for (const [i, length] of LENGTHS.entries()) {
      const part = (all: Float32Array, at: number) => all.subarray(at * 40, (at + length) * 40);
      expect(difference(part(got.logits, offsets[i]!), part(want.logits, i * longest))).toBeLessThan(1e-5);
    }
    for (const [name, gradient] of want.gradients)
      expect(difference(got.gradients.get(name)!, gradient), name).toBeLessThan(2e-5);
  });

  it("train with dropout to finite gradients", async () => {
    manualSeed(device, 6);
    const model = new DistilBertForSequenceClassification(device, config(0.3)).initAllWeights();
    const { packed } = batches();
    const { loss, gradients } = await run(model, { ...packed, labels: integers([0, 1, 1, 0, 1, 0], [6]) });
    expect(Number.isFinite(loss)).toBe(true);
    for (const [name, gradient] of gradients) expect(gradient.every(Number.isFinite), name).toBe(true);
  });

  it("are refused where their parts do not fit together", () => {
    const model = new DistilBertModel(device, config()).initAllWeights();
    const { padded, packed } = batches();
    const { positionIds: _, ...without } = packed;
    expect(() => model.forward(without)).toThrow("positionIds missing");
    expect(() => model.forward({ ...packed, attentionMask: padded.attentionMask })).toThrow(
      "there is no attentionMask",
    );
    expect(() => model.forward({ ...packed, cuSeqlens: null })).toThrow("inputIds is [B, T]");
    expect(() => model.forward({ ...packed, outputAttentions: true })).toThrow("leave out cuSeqlens");
  });
});
