import type { LabEntry } from "../../lab/entry.js";
import { Generator } from "../../random/generator.js";
import type { Tensor } from "../../tensor.js";
import { dropoutReference } from "../dropout/reference.js";
import { Inputs, parseShapeText, providedForRows, rowContract, type ShapeText } from "../rows/lab.js";
import { numbers, rounded } from "../rows/numbers.js";
import naive from "./1-naive.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import outputPlain from "./backward/output-plain.wgsl";
import backwardParams from "./backward/params.wgsl";
import { tolerance } from "./cases.js";
import columnsNaive from "./columns/1-naive.wgsl";
import columnsParams from "./columns/params.wgsl";
import inputPlain from "./input-plain.wgsl";
import {
  type LayerNormProblem,
  layerNormBackwardLadder,
  layerNormColumnsLadder,
  layerNormLadder,
} from "./ladder.js";
import { affineGradients, inputGradient, normalise } from "./normalise.js";
import params from "./params.wgsl";
import { layerNormReference } from "./reference.js";

/** `far`: the elements of x lie around FAR, not around 0, which a variance of E[x^2] - E[x]^2 does not survive. */
const format = "ROWSxLENGTH[,sum|dropout|added][,plain][,far][,f16]";
const FAR = 30;
const EPS = 1e-5;
const P = 0.1;

interface LayerNormShape extends ShapeText {
  readonly rows: number;
  readonly length: number;
  readonly problem: LayerNormProblem;
  /** Whether there are weight and bias (f32, whatever x is). */
  readonly affine: boolean;
}

function parse(text: string): LayerNormShape {
  const flags = ["f16", "sum", "dropout", "added", "plain", "far"];
  const found = parseShapeText("layer_norm", text, { format, sizes: [2], flags });
  const [rows, length] = found.sizes as [number, number];
  const named = { dropout: "dropped", sum: "sum", added: "added" } as const;
  const flag = (["dropout", "sum", "added"] as const).find((one) => found.flags.has(one));
  const input = flag ? named[flag] : "plain";
  const affine = !found.flags.has("plain");
  return { ...found, rows, length, affine, problem: { rows, length, dtype: found.dtype, input } };
}

/** Data of a shape, the same for all three ladders. */
function data({ rows, length, dtype, affine, problem, flags }: LayerNormShape) {
  const count = rows * length;
  const x = numbers(count, 1, dtype, 1, flags.has("far") ? FAR : 0);
  const residual = numbers(count, 5, dtype);
  const range = new Generator(1).next(Math.ceil(count / 4));
  const dropped = problem.input === "dropped" ? dropoutReference(x, P, new Generator(1).getState()) : x;
  const summed = problem.input === "sum" || problem.input === "dropped";
  const sum = summed ? x.map((_, i) => dropped[i]! + residual[i]!) : x;
  return {
    x,
    residual,
    /** Whether x + residual is normalised. */
    summed,
    dropout: problem.input === "dropped" ? { p: P, range } : null,
    /** What is normalised, as backward finds it stored. */
    h: rounded(sum, dtype),
    dy: numbers(count, 2, dtype),
    weight: affine ? numbers(length, 3, "f32", 0.5, 1) : null,
    bias: affine ? numbers(length, 4) : null,
  };
}

/** Mean and 1 / deviation of each row, as forward leaves them. */
function statsOf(h: Float32Array, length: number): Float32Array {
  const stats = new Float32Array((2 * h.length) / length);
  for (let row = 0; row < h.length / length; row++) {
    const values = h.subarray(row * length, (row + 1) * length);
    const mean = values.reduce((sum, value) => sum + value, 0) / length;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / length;
    stats.set([mean, 1 / Math.sqrt(variance + EPS)], 2 * row);
  }
  return stats;
}

const benchShapes = ["1024x384", "1024x384,sum", "1024x384,dropout", "2048x768,sum", "1024x1024"];
const checkShapes = [
  ...[
    "1x1",
    "5x7",
    "65x64",
    "5x65",
    "70x384",
    "7x333",
    "70x384,far",
    "3x5000",
    "7x20,plain",
    "9x12,sum",
    "7x333,sum",
    "70x64,sum,plain",
  ],
  ...[
    "9x12,dropout",
    "7x33,dropout",
    "130x384,dropout",
    "9x128,f16",
    "9x77,f16",
    "9x128,sum,f16",
    "9x128,dropout,f16",
  ],
];

/** Layer norm of x, of a sum, or of a sum with dropout on x. */
const forward: LabEntry<LayerNormProblem> = {
  ladder: layerNormLadder,
  summary:
    "y = (h - mean(h)) / sqrt(variance(h) + eps) * weight + bias of each row; h = x, x + residual (sum) or dropout(x) + residual",
  reference: "torch.nn.functional.layer_norm",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload(text) {
    const found = parse(text);
    const { rows, length, dtype, bytesPerElement, problem } = found;
    const arrays = problem.input === "sum" || problem.input === "dropped" ? 4 : 2;
    return {
      shape: text,
      flop: 0,
      bytes: arrays * rows * length * bytesPerElement,
      problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const { x, residual, summed, dropout, h, dy, weight, bias } = data(found);
        const affine = (values: Float32Array | null) => values && inputs.tensor(values, [length]);
        const operands = {
          x: inputs.tensor(x, [rows, length], dtype),
          residual: summed ? inputs.tensor(residual, [rows, length], dtype) : null,
          weight: affine(weight),
          bias: affine(bias),
          dropout,
        };
        return inputs.prepared(
          () => ({ y: normalise(operands, length, EPS, true).y }),
          () => ({ y: layerNormReference(h, dy, weight, bias, length, EPS).y }),
          tolerance({
            name: text,
            shape: [],
            normalizedShape: [],
            dtype,
            slack: found.flags.has("far") ? 8 : 1,
          }),
        );
      },
    };
  },
  contract: {
    description: [
      "y from 0, stats[row] = vec2(mean, 1 / sqrt(variance + eps)). What is normalised comes by function, so that one file serves x,",
      "x + residual and dropout(x) + residual: first_value(i) in the first pass over a row, value_at(i) in later ones, by the same",
      "invocation; i = row * params.length + column. affine(normalised, column) multiplies with the weight and adds the bias.",
      ...rowContract,
    ],
    provided: [...providedForRows, params, inputPlain],
    template: naive,
  },
};

/** The gradient of what was normalised. */
const backward: LabEntry<LayerNormProblem> = {
  ladder: layerNormBackwardLadder,
  summary:
    "dx = rstd (g - mean(g) - n mean(g n)) of each row, g = dy weight, n = (x - mean) rstd; plus another gradient (added); with dropout also dropped",
  reference: "torch.nn.functional.layer_norm's backward",
  shapeFormat: format,
  benchShapes: [...benchShapes.filter((shape) => !/sum/.test(shape)), "1024x384,added"],
  checkShapes: [...checkShapes, "70x64,added", "7x333,added,plain", "9x128,added,f16"],
  workload(text) {
    const found = parse(text);
    const { rows, length, dtype, bytesPerElement, problem } = found;
    return {
      shape: text,
      flop: 0,
      bytes:
        (problem.input === "dropped" || problem.input === "added" ? 4 : 3) * rows * length * bytesPerElement,
      problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const { dropout, summed, residual, h, dy, weight, bias } = data(found);
        const shape = [rows, length];
        const other = problem.input === "added" ? residual : null;
        const added = other && inputs.tensor(other, shape, dtype);
        const operands = {
          h: inputs.tensor(h, shape, dtype),
          dy: inputs.tensor(dy, shape, dtype),
          stats: inputs.tensor(statsOf(h, length), [rows, 2]),
          weight: weight && inputs.tensor(weight, [length]),
        };
        const limit = tolerance({ name: text, shape: [], normalizedShape: [], dtype });
        return inputs.prepared(
          (): Record<string, Tensor> => {
            const { dx, dresidual } = inputGradient(operands, length, summed, dropout, added);
            return dropout ? { dx, dresidual } : { dx };
          },
          (): Record<string, Float64Array> => {
            const { dx } = layerNormReference(h, dy, weight, bias, length, EPS);
            if (!dropout) return { dx: other ? dx.map((value, i) => value + other[i]!) : dx };
            // The mask, by dropout of ones.
            const mask = dropoutReference(new Float32Array(h.length).fill(1), P, new Generator(1).getState());
            return { dx: dx.map((value, i) => value * mask[i]!), dresidual: dx };
          },
          // A row of one element, or of equal ones, has 1 / sqrt(eps) for a factor.
          { rtol: limit.rtol, atol: length < 8 ? 300 * limit.atol : 4 * limit.atol },
        );
      },
    };
  },
  contract: {
    description: [
      "x is what was normalised, stats[row] = vec2(mean, rstd). weighted_gradient(i, column) is g, normalised_at(i, mean, rstd) is n,",
      "and leave(i, value) writes the result; i = row * params.length + column.",
      ...rowContract,
    ],
    provided: [...providedForRows, backwardParams, outputPlain],
    template: backwardNaive,
  },
};

/** The gradients of weight and bias. */
const columns: LabEntry<LayerNormProblem> = {
  ladder: layerNormColumnsLadder,
  summary: "dweight = sum over rows of dy n, dbias = sum over rows of dy; in an order that does not change",
  reference: "torch.nn.functional.layer_norm's backward",
  shapeFormat: "ROWSxLENGTH[,f16]",
  benchShapes: ["1024x384", "2048x768", "1024x1024"],
  checkShapes: ["1x1", "5x7", "65x64", "300x65", "1025x384", "7x333", "2000x3", "130x128,f16", "9x77,f16"],
  workload(text) {
    const found = parse(text);
    const { rows, length, dtype, bytesPerElement } = found;
    return {
      shape: text,
      flop: 0,
      bytes: 2 * rows * length * bytesPerElement,
      problem: found.problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const { h, dy } = data(found);
        const shape = [rows, length];
        const operands = {
          h: inputs.tensor(h, shape, dtype),
          dy: inputs.tensor(dy, shape, dtype),
          stats: inputs.tensor(statsOf(h, length), [rows, 2]),
        };
        return inputs.prepared(
          () => {
            const { weight, bias } = affineGradients(operands, length, [length], "f32");
            return { dweight: weight, dbias: bias };
          },
          () => {
            const { dweight, dbias } = layerNormReference(h, dy, null, null, length, EPS);
            return { dweight, dbias };
          },
          { rtol: 1e-5, atol: 4e-6 * Math.max(4, Math.sqrt(rows)) },
        );
      },
    };
  },
  contract: {
    description: [
      "x is what was normalised, stats[row] = vec2(mean, rstd); x at params.x_offset, dy at params.dy_offset, results from 0.",
      "Elements is what one index of x and dy holds: f32 or f16, or vec4 of it where rows are a multiple of four long; Weights the",
      "same for the results. V is either in f32: V(x[i]) reads, Weights(v) writes. Lengths and offsets count Elements.",
      "Grid: ceil(length / GROUP_COLUMNS) workgroups, spread over x and y; declare const GROUP_COLUMNS: u32.",
    ],
    provided: [...providedForRows, columnsParams],
    template: columnsNaive,
  },
};

export const entries: readonly LabEntry[] = [forward as LabEntry, backward as LabEntry, columns as LabEntry];
