// The training step that is compared: model, random weights, one batch, optimizer; written once, read by every library.
import { join } from "node:path";
import { count, integers, normal, readNumbers, writeNumbers } from "./numbers.mjs";

/**
 * DistilBERT classifiers. `mini` is the one that is measured, `base` is DistilBERT-base, `narrow` has mini's graph in the memory
 * that Dawn's null backend offers, `tiny` shows in seconds whether the scripts work.
 */
export const models = {
  mini: { layers: 6, dim: 384, heads: 12, vocabulary: 30522, batch: 16, tokens: 64 },
  base: { layers: 6, dim: 768, heads: 12, vocabulary: 30522, batch: 16, tokens: 64 },
  narrow: { layers: 6, dim: 48, heads: 12, vocabulary: 30522, batch: 16, tokens: 64 },
  tiny: { layers: 2, dim: 48, heads: 4, vocabulary: 500, batch: 4, tokens: 16 },
};

/** AdamW's settings, the same in every library; decay acts on every parameter. */
export const optimizer = { lr: 5e-5, beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01 };

/** Shapes of all parameters by Hugging Face's names, Linear weights [out, in]. */
function parameterShapes({ layers, dim, vocabulary }) {
  const shapes = new Map();
  const linear = (name, width, out) => {
    shapes.set(`${name}.weight`, [out, width]);
    shapes.set(`${name}.bias`, [out]);
  };
  const norm = (name) => {
    shapes.set(`${name}.weight`, [dim]);
    shapes.set(`${name}.bias`, [dim]);
  };
  shapes.set("distilbert.embeddings.word_embeddings.weight", [vocabulary, dim]);
  shapes.set("distilbert.embeddings.position_embeddings.weight", [512, dim]);
  norm("distilbert.embeddings.LayerNorm");
  for (let i = 0; i < layers; i++) {
    const layer = `distilbert.transformer.layer.${i}`;
    for (const name of ["q_lin", "k_lin", "v_lin", "out_lin"]) linear(`${layer}.attention.${name}`, dim, dim);
    norm(`${layer}.sa_layer_norm`);
    linear(`${layer}.ffn.lin1`, dim, 4 * dim);
    linear(`${layer}.ffn.lin2`, 4 * dim, dim);
    norm(`${layer}.output_layer_norm`);
  }
  linear("pre_classifier", dim, dim);
  linear("classifier", dim, 2);
  return shapes;
}

const isNorm = (name) => /layer_?norm\.weight$/i.test(name);

/**
 * Floating-point operations of one training step, a multiplication and an addition being two, counted from the shapes. With
 * T = batch x tokens, d = dim: forward has in each layer four products [T, d] x [d, d] (q, k, v, out: 8 T d^2), two with the inner
 * width 4 d (16 T d^2), and per example q k^T and p v (4 batch tokens^2 d); then the head, [batch, d] x [d, d] and [batch, d] x
 * [d, 2]. Backward is twice that: one product for the gradient of either factor. What a kernel computes again (attention's
 * weights in backward) is not counted, nor is anything that is no product.
 */
export function stepFlop({ layers, dim, batch, tokens }) {
  const rows = batch * tokens;
  const layer = 24 * rows * dim ** 2 + 4 * batch * tokens ** 2 * dim;
  const head = 2 * batch * dim ** 2 + 4 * batch * dim;
  return 3 * (layers * layer + head);
}

/** The same as a line of text, for tables. */
export const FLOP_FORMULA = "3 (layers (24 T d^2 + 4 B L^2 d) + 2 B d^2 + 4 B d), T = B L";

/** Writes weights and batch of a model to a folder, from a seed. */
export function writeStepData(folder, size, seed = 1) {
  const { vocabulary, batch, tokens } = models[size];
  [...parameterShapes(models[size])].forEach(([name, shape], i) => {
    const numbers = normal(count(shape), seed + i, { mean: isNorm(name) ? 1 : 0, std: 0.02 });
    writeNumbers(join(folder, `${name}.bin`), numbers);
  });
  const lengths = integers(batch, seed + 1000, Math.ceil(tokens / 3), tokens + 1);
  const mask = Int32Array.from({ length: batch * tokens }, (_, i) =>
    Number(i % tokens < lengths[Math.floor(i / tokens)]),
  );
  writeNumbers(join(folder, "ids.bin"), integers(batch * tokens, seed + 1001, 5, vocabulary));
  writeNumbers(join(folder, "mask.bin"), mask);
  writeNumbers(join(folder, "labels.bin"), integers(batch, seed + 1002, 0, 2));
}

/** Reads a folder of `writeStepData`; `read(name)` gives the values of one parameter. */
export function readStepData(folder, size) {
  const integersOf = (name) => readNumbers(join(folder, `${name}.bin`), "i32");
  return {
    config: models[size],
    optimizer,
    shapes: parameterShapes(models[size]),
    read: (name) => readNumbers(join(folder, `${name}.bin`)),
    ids: integersOf("ids"),
    mask: integersOf("mask"),
    labels: integersOf("labels"),
  };
}

/** A parameter for libraries that multiply with [in, out]: Linear weights transposed, the others as they are. */
export function readTransposed({ shapes, read }, name) {
  const shape = shapes.get(name);
  const numbers = read(name);
  if (shape.length !== 2 || name.includes("embeddings")) return { shape, numbers };
  const [rows, columns] = shape;
  const transposed = new Float32Array(numbers.length);
  for (let r = 0; r < rows; r++)
    for (let c = 0; c < columns; c++) transposed[c * rows + r] = numbers[r * columns + c];
  return { shape: [columns, rows], numbers: transposed };
}
