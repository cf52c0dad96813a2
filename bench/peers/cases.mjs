// The operations that are compared: sizes, inputs, work, and how much of the better peer's CPU time wgrad may take.
import { count } from "../lib/numbers.mjs";

/** `both` is forward and backward with the gradients of all f32 inputs. */
export const cases = [
  matmul(1, 1024, 768, 768),
  matmul(1, 1024, 768, 3072),
  matmul(1, 512, 512, 512),
  matmul(96, 64, 64, 64),
  attention(16, 12, 64, 64),
  layerNorm(1024, 768),
  softmax(1536, 128),
  gelu(1024, 3072),
  embedding(30522, 384, 1024),
];

/** The same operations, a few elements each: whether the scripts work and the libraries agree, in seconds. */
export const tinyCases = [
  matmul(1, 64, 48, 80),
  matmul(3, 16, 16, 16),
  attention(2, 2, 16, 32),
  layerNorm(32, 96),
  softmax(48, 32),
  gelu(32, 96),
  embedding(200, 32, 48),
];

function matmul(batch, m, k, n) {
  const lead = batch === 1 ? [] : [batch];
  const flops = 2 * batch * m * k * n;
  return {
    name: `matmul ${batch === 1 ? "" : `${batch} of `}${m}x${k}x${n}`,
    op: "matmul",
    inputs: { a: [...lead, m, k], b: [...lead, k, n], dy: [...lead, m, n] },
    modes: [
      { mode: "forward", target: 1 / 3, flops },
      { mode: "both", target: 1 / 3, flops: 3 * flops },
    ],
  };
}

function attention(batch, heads, tokens, width) {
  const shape = [batch, heads, tokens, width];
  const flops = 4 * count(shape) * tokens;
  return {
    name: `attention ${shape.join("x")}`,
    op: "attention",
    inputs: { q: shape, k: shape, v: shape, dy: shape },
    modes: [
      { mode: "forward", target: 1 / 2, flops },
      { mode: "both", target: 1 / 2, flops: 3 * flops },
    ],
  };
}

function layerNorm(rows, width) {
  return {
    name: `layer norm ${rows}x${width}`,
    op: "layerNorm",
    inputs: { x: [rows, width], weight: [width], bias: [width], dy: [rows, width] },
    modes: [
      { mode: "forward", target: 1 / 2 },
      { mode: "both", target: 1 / 2 },
    ],
  };
}

function softmax(rows, width) {
  return {
    name: `softmax ${rows}x${width}`,
    op: "softmax",
    inputs: { x: [rows, width], dy: [rows, width] },
    modes: [
      { mode: "forward", target: 1 / 2 },
      { mode: "both", target: 1 / 2 },
    ],
  };
}

function gelu(rows, width) {
  return {
    name: `GELU ${rows}x${width}`,
    op: "gelu",
    inputs: { x: [rows, width], dy: [rows, width] },
    modes: [
      { mode: "forward", target: 1 },
      { mode: "both", target: 1 },
    ],
  };
}

function embedding(rows, width, ids) {
  return {
    name: `embedding ${ids} of ${rows}x${width}`,
    op: "embedding",
    inputs: { table: [rows, width], ids: [ids], dy: [ids, width] },
    modes: [{ mode: "both", target: 1 }],
  };
}
