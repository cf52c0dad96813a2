// One library's process: `node worker.mjs wgrad|jax-js|tfjs`, started and asked by ops.mjs.
import { join } from "node:path";
import { globals } from "webgpu";
import { countCalls, peakMiB, since, timed } from "../lib/measure.mjs";
import { readNumbers, writeNumbers } from "../lib/numbers.mjs";
import { serve } from "../lib/process.mjs";

const library = process.argv[2];
const counts = countCalls(globals);
let api = null;
let inputs = {};
let calls = {};

serve({
  async open() {
    api = await (await import(`./libraries/${library}.mjs`)).open();
    return { adapter: api.adapter };
  },

  /** Uploads a case's inputs from the folder and makes its calls. */
  async prepare(op, shapes, folder) {
    inputs = {};
    for (const [name, shape] of Object.entries(shapes)) {
      const numbers = readNumbers(join(folder, `${name}.bin`), name === "ids" ? "i32" : "f32");
      inputs[name] = await api.upload(numbers, shape);
    }
    calls = api.prepare(op, inputs);
  },

  /** Calls once (which compiles) and writes what came out beside the inputs; null for what the library does not give. */
  async check(mode, folder) {
    const outputs = calls[mode]();
    const files = [];
    for (const [i, output] of outputs.entries()) {
      files.push(output ? `${library}-${mode}-${i}.bin` : null);
      if (output) writeNumbers(join(folder, files.at(-1)), await api.read(output));
    }
    api.free(outputs.filter(Boolean));
    return files;
  },

  /** How many calls one sample needs to last `ms` of processor time. */
  async calibrate(mode, ms) {
    const { cpu } = await timed(() => api.repeat(calls[mode], 1));
    return Math.max(1, Math.min(40, Math.ceil(ms / Math.max(cpu, 0.1))));
  },

  /** Milliseconds and WebGPU calls of one call, from `times` of them. */
  async measure(mode, times) {
    const before = counts();
    const { cpu, wall } = await timed(() => api.repeat(calls[mode], times));
    const made = Object.entries(since(before, counts())).map(([name, n]) => [name, n / times]);
    return { cpu: cpu / times, wall: wall / times, ...Object.fromEntries(made) };
  },

  release() {
    api.free(Object.values(inputs));
    [inputs, calls] = [{}, {}];
  },

  memory: () => peakMiB(),
});
