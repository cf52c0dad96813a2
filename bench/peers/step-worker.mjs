// One library's process: `node step-worker.mjs wgrad|wgrad-eager|jax-js|tfjs`, started and asked by step.mjs.
import { globals } from "webgpu";
import { countCalls, peakMiB, since, timed } from "../lib/measure.mjs";
import { serve } from "../lib/process.mjs";
import { readStepData } from "../lib/step-data.mjs";

const library = process.argv[2];
const own = library.startsWith("wgrad");
const file = own ? "../step/wgrad.mjs" : `./libraries/${library}-step.mjs`;
const counts = countCalls(globals);
let api = null;

serve({
  async open(folder, size) {
    api = await (await import(file)).open(readStepData(folder, size), { captured: library === "wgrad" });
    return { adapter: api.adapter };
  },

  /** One step: milliseconds until the GPU has done it, the WebGPU calls it made, and its loss, read back afterwards. */
  async step() {
    const before = counts();
    const { cpu, wall } = await timed(async () => {
      api.step();
      await api.synchronize();
    });
    const made = since(before, counts());
    return { cpu, wall, ...made, loss: await api.loss() };
  },

  /** wgrad alone: what the adapter can do, measured now. */
  peaks: async () => (await import("../lib/lab.mjs")).peaksOf(api.device),

  memory: () => peakMiB(),
});
