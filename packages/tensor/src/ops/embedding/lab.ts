import type { LabEntry } from "../../lab/entry.js";
import { Inputs, parseShapeText, type ShapeText } from "../rows/lab.js";
import { numbers } from "../rows/numbers.js";
import naive from "./backward/1-naive.wgsl";
import params from "./backward/params.wgsl";
import { embeddingGradient } from "./index.js";
import { type EmbeddingProblem, embeddingBackwardLadder } from "./ladder.js";
import { embeddingBackwardReference } from "./reference.js";

const format = "ENTRIESxROWSxWIDTH[,same|positions][,padding][,f16]";

function parse(text: string): ShapeText & { readonly problem: EmbeddingProblem } {
  const flags = ["same", "positions", "padding", "f16"];
  const found = parseShapeText("embedding.backward", text, { format, sizes: [3], flags });
  const [entries, rows, width] = found.sizes as [number, number, number];
  return { ...found, problem: { entries, rows, width, dtype: found.dtype } };
}

/** Ids as words have them, a few often and many once; all the same; or places 0, 1, 2, … over and over, 64 at most. */
function idsOf(entries: number, rows: number, flags: ReadonlySet<string>): Int32Array {
  const spread = numbers(entries, 3, "f32", 0.5, 0.5);
  return Int32Array.from({ length: entries }, (_, i) => {
    if (flags.has("same")) return rows - 1;
    if (flags.has("positions")) return i % Math.min(64, rows);
    return Math.min(rows - 1, Math.floor(rows * spread[i]! ** 3));
  });
}

/** The gradient of an embedding's table. */
const backward: LabEntry<EmbeddingProblem> = {
  ladder: embeddingBackwardLadder,
  summary:
    "dweight[v] = sum of dy[e] over all e with ids[e] = v, in the order of e; zeros for rows that no id names",
  reference: "torch.nn.functional.embedding's backward",
  shapeFormat: format,
  benchShapes: ["1024x30522x384", "1024x512x384,positions", "2048x30522x768"],
  checkShapes: [
    ...["1x1x1", "3x5x7", "40x9x12", "500x300x12,same", "400x211x300,padding", "130x40x64,positions"],
    ...["33x1000x5,padding", "70x9x16,f16", "70x9x10,f16,padding", "3000x700x8"],
  ],
  workload(text) {
    const { problem, flags, dtype, bytesPerElement } = parse(text);
    const { entries, rows, width } = problem;
    const paddingIdx = flags.has("padding") ? 0 : null;
    return {
      shape: text,
      flop: 0,
      bytes: 4 * rows * width + bytesPerElement * entries * width,
      problem,
      prepare(device) {
        const inputs = new Inputs(device);
        const gradient = numbers(entries * width, 1, dtype);
        const list = idsOf(entries, rows, flags);
        const dy = inputs.tensor(gradient, [entries, width], dtype);
        const ids = inputs.tensor(list, [entries], "i32");
        return inputs.prepared(
          () => ({ dweight: embeddingGradient({ dy, ids, rows, paddingIdx, dtype: "f32" }) }),
          () => ({ dweight: embeddingBackwardReference(gradient, list, rows, width, paddingIdx) }),
          // Roundings of up to 1,000 additions of numbers below 1.
          { rtol: 1e-6, atol: 3e-5 },
        );
      },
    };
  },
  contract: {
    description: [
      "Write every row of dweight: zeros where no id names it. Sum(dy[i]) reads, Out(sum) writes; Wide is f32 or f16, or vec4 of it where",
      "rows are a multiple of four wide; the file is compiled for both. An index outside [0, rows) belongs to no row.",
      "Grid: ceil(rows / GROUP_ROWS) workgroups, spread over x and y; declare const GROUP_ROWS: u32, the rows of the table of one.",
    ],
    provided: ["alias Wide = vec4<T>;\nalias Sum = vec4<f32>;\nalias Out = vec4<O>;\n", params],
    template: naive,
  },
};

export const entries: readonly LabEntry[] = [backward as LabEntry];
