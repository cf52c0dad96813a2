import { scope } from "../../autograd/modes.js";
import type { LabEntry } from "../../lab/entry.js";
import { Inputs, parseShapeText, rowContract, type ShapeText } from "../rows/lab.js";
import lanes1 from "../rows/lanes-1.wgsl";
import { numbers } from "../rows/numbers.js";
import naive from "./1-naive.wgsl";
import backwardNaive from "./backward/1-naive.wgsl";
import gradient from "./backward/gradient.wgsl";
import { tolerance } from "./cases.js";
import { type LossAttributes, lossGradient, lossValues } from "./index.js";
import { type CrossEntropyProblem, crossEntropyBackwardLadder, crossEntropyLadder } from "./ladder.js";
import loss from "./loss.wgsl";
import outcome from "./outcome.wgsl";
import outputs from "./outputs.wgsl";
import { crossEntropyReference } from "./reference.js";

const format = "ROWSxCLASSES[xPOSITIONS][,smooth][,soft][,weight][,none|sum][,f16]";

interface LossShape extends ShapeText {
  readonly shape: readonly number[];
  readonly rows: number;
  readonly classes: number;
  readonly inner: number;
  readonly attributes: LossAttributes;
  readonly problem: CrossEntropyProblem;
}

function parse(text: string): LossShape {
  const names = ["smooth", "soft", "weight", "none", "sum", "f16"];
  const found = parseShapeText("cross_entropy", text, { format, sizes: [2, 3], flags: names });
  const { sizes, flags, dtype } = found;
  const [outer, classes, inner = 1] = sizes as [number, number, number?];
  const reduction = flags.has("none") ? "none" : flags.has("sum") ? "sum" : "mean";
  const soft = flags.has("soft");
  const labelSmoothing = flags.has("smooth") ? 0.1 : 0;
  const rows = outer * inner;
  const spread = soft || labelSmoothing > 0;
  return {
    ...found,
    shape: [outer, classes, inner],
    rows,
    classes,
    inner,
    attributes: { weight: null, ignoreIndex: -100, reduction, labelSmoothing, soft, nll: false },
    problem: { rows, classes, inner, dtype, spread, reduced: reduction !== "none" },
  };
}

/** Data and reference of a shape, the same for both ladders. Every fifth row is ignored. */
function data({ shape, rows, classes, inner, dtype, flags, attributes }: LossShape) {
  const logits = numbers(rows * classes, 1, dtype, 4);
  const ids = Int32Array.from({ length: rows }, (_, i) => (i % 5 === 4 ? -100 : (i * 7 + 3) % classes));
  const target = attributes.soft ? numbers(rows * classes, 2, "f32", 0.5, 0.5) : ids;
  const weight = flags.has("weight") ? numbers(classes, 3, "f32", 0.5, 1) : null;
  const { ignoreIndex, labelSmoothing, soft } = attributes;
  const found = crossEntropyReference({
    logits,
    target,
    classes,
    inner,
    soft,
    weight,
    ignoreIndex,
    labelSmoothing,
    nll: false,
  });
  const total = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);
  const divisor = attributes.reduction === "mean" ? total(found.mass) : 1;
  const dy = attributes.reduction === "none" ? numbers(rows, 4) : Float32Array.of(0.5);
  return {
    logits,
    target,
    weight,
    dy,
    shape,
    losses: attributes.reduction === "none" ? found.losses : Float64Array.of(total(found.losses) / divisor),
    gradient: () =>
      found.gradient(attributes.reduction === "none" ? dy : new Float64Array(rows).fill(dy[0]! / divisor)),
  };
}

/** Operands on the device. */
function operandsOf(inputs: Inputs, found: LossShape, made: ReturnType<typeof data>) {
  const ids = found.attributes.soft ? found.shape : [found.shape[0]!, found.inner];
  return {
    x: inputs.tensor(made.logits, found.shape, found.dtype),
    labels: inputs.tensor(made.target, ids, found.attributes.soft ? "f32" : "i32"),
    weight: made.weight && inputs.tensor(made.weight, [found.classes]),
  };
}

const benchShapes = ["16x2", "16x20", "1024x1000", "64x30522"];
const checkShapes = [
  ...["1x1", "16x2", "65x7", "5x3001", "3x5x7", "300x20", "63x5,none", "2x4x15,none,weight", "65x7,sum"],
  ...[
    "9x10,smooth",
    "9x10,smooth,weight",
    "8x6,soft",
    "4x6x3,soft,weight,smooth",
    "5x700,soft",
    "5x700,smooth,none",
  ],
  ...["16x2,f16", "12x33,smooth,f16", "5x1000,f16,none"],
];

/** Log-softmax and loss in one. */
const forward: LabEntry<CrossEntropyProblem> = {
  ladder: crossEntropyLadder,
  summary:
    "loss = -sum over classes of q log(softmax(x)), q from the target, label smoothing and class weights; their mean",
  reference: "torch.nn.functional.cross_entropy",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload(text) {
    const found = parse(text);
    return {
      shape: text,
      flop: 0,
      bytes: found.rows * found.classes * found.bytesPerElement,
      problem: found.problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const made = data(found);
        const operands = operandsOf(inputs, found, made);
        const limit = tolerance({ name: text, shape: [] });
        const terms = found.attributes.reduction === "sum" ? found.rows : 1;
        return inputs.prepared(
          () => ({ loss: lossValues(operands, found.attributes).loss }),
          () => ({ loss: made.losses }),
          { rtol: limit.rtol, atol: limit.atol * terms },
        );
      },
    };
  },
  contract: {
    description: [
      "logit(row, class) is x[row][class] in f32, label_of(row) the class id, share(row, class, label) is q. At the end of a row:",
      "leave(row, label, maximum, log(sum(exp(x - maximum))), sum of q ((maximum - x) + logarithm), sum of q). The last two only if",
      "SPREAD (label smoothing, or SOFT: probabilities as target); else leave works them out. With NLL, maximum and logarithm are 0.",
      ...rowContract.slice(-1),
    ],
    provided: [lanes1, loss, outcome, outputs],
    template: naive,
  },
};

/** Gradient of the logits. */
const backward: LabEntry<CrossEntropyProblem> = {
  ladder: crossEntropyBackwardLadder,
  summary:
    "dx = dy scale (softmax(x) sum(q) - q) of each row, from the maximum and the logarithm that forward kept",
  reference: "torch.nn.functional.cross_entropy's backward",
  shapeFormat: format,
  benchShapes,
  checkShapes,
  workload(text) {
    const found = parse(text);
    return {
      shape: text,
      flop: 0,
      bytes: 2 * found.rows * found.classes * found.bytesPerElement,
      problem: found.problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const made = data(found);
        const operands = operandsOf(inputs, found, made);
        const each = found.attributes.reduction === "none";
        const dy = inputs.tensor(made.dy, each ? [found.shape[0]!, found.inner] : []);
        const kept = scope(() => lossValues(operands, found.attributes));
        for (const tensor of Object.values(kept)) inputs.own(tensor);
        return inputs.prepared(
          () => ({ dx: lossGradient(operands, kept, dy, found.attributes) }),
          () => ({ dx: made.gradient() }),
          tolerance({ name: text, shape: [], dtype: found.dtype }),
        );
      },
    };
  },
  contract: {
    description: [
      "dx[place(row, class)] = gradient(row, class, label_of(row), state[row], row_scale(row)): one number of the result.",
      ...rowContract.slice(-1),
    ],
    provided: [lanes1, loss, gradient],
    template: backwardNaive,
  },
};

export const entries: readonly LabEntry[] = [forward as LabEntry, backward as LabEntry];
