// One start of a training program: `node start-worker.mjs <folder> <size>`, started and asked by start.mjs.
import { globals } from "webgpu";
import { countCalls, cpuMs } from "../lib/measure.mjs";
import { serve } from "../lib/process.mjs";
import { readStepData } from "../lib/step-data.mjs";
import { open } from "./wgrad.mjs";

const [folder, size] = process.argv.slice(2);
const counts = countCalls(globals);

serve({
  /** CPU seconds of this process, from its beginning, by part. */
  async run() {
    const marks = [cpuMs()];
    const api = await open(readStepData(folder, size), { captured: true });
    marks.push(cpuMs());
    await api.first();
    await api.synchronize();
    marks.push(cpuMs());
    const { pipelines } = counts();
    api.step();
    await api.synchronize();
    marks.push(cpuMs());
    const [imports, setUp, firstStep, nextStep] = marks.map(
      (mark, i) => (mark - (i === 0 ? 0 : marks[i - 1])) / 1000,
    );
    api.device.close();
    return {
      adapter: api.adapter,
      imports,
      setUp,
      firstStep,
      nextStep,
      total: marks[2] / 1000,
      pipelines,
    };
  },
});
