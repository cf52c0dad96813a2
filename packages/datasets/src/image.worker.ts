/** A thread that decodes pictures: started by ImageWorkers, whose messages, some pictures each, it answers one by one. */
import { parentPort, workerData } from "node:worker_threads";
import { type ImageJob, ImageProcessor, type ProcessSettings } from "./images/process-image.js";

const port = parentPort;
if (port === null) throw new Error("image.worker.js is started by ImageLoader, not imported.");
const processor = new ImageProcessor(workerData as ProcessSettings);

port.on("message", async (jobs: ImageJob[]) => {
  const results = await Promise.all(jobs.map((job) => processor.process(job)));
  port.postMessage(
    results,
    results.flatMap((result) => (result.ok ? [result.pixelValues.buffer] : [])),
  );
});
