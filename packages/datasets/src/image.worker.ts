/** A thread that decodes pictures: started by ImageWorkers, which it answers one message for each it gets. */
import { parentPort, workerData } from "node:worker_threads";
import { type ImageJob, ImageProcessor, type ProcessSettings } from "./images/process-image.js";

const port = parentPort;
if (port === null) throw new Error("image.worker.js is started by ImageLoader, not imported.");
const processor = new ImageProcessor(workerData as ProcessSettings);

port.on("message", async (job: ImageJob) => {
  const result = await processor.process(job);
  port.postMessage(result, result.ok ? [result.pixelValues.buffer] : []);
});
