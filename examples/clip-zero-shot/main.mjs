// Zero-shot classification.
//   node main.mjs                                                            a tiny CLIP that is trained here, on drawn pictures
//   node main.mjs openai/clip-vit-base-patch16 "cat,dog,car" photo.jpg …     a checkpoint (a folder or a hub id) and your files
import { decodeImage } from "@wgrad/image/node";
import { AutoModelForZeroShotImageClassification, AutoProcessor } from "@wgrad/models/node";
import { openDevice } from "@wgrad/tensor/node";
import { draw, labels as tinyLabels, processor as tinyProcessor, trainTinyClip } from "./tiny-clip.mjs";
import { zeroShot } from "./zero-shot.mjs";

const [checkpoint, list, ...files] = process.argv.slice(2);
if (checkpoint && files.length === 0) {
  console.error('usage: node main.mjs [checkpoint "label,label,…" picture…]');
  process.exit(2);
}
const device = await openDevice();

if (checkpoint) {
  const labels = list.split(",");
  const { model } = await AutoModelForZeroShotImageClassification.fromPretrained(device, checkpoint);
  const processor = await AutoProcessor.fromPretrained(checkpoint);
  const images = await Promise.all(files.map((file) => decodeImage(file)));
  report(files, labels, await zeroShot(model, processor, images, labels));
} else {
  // The same numbers at each start.
  let state = 1;
  const random = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const onStep = (step, loss) => console.log(`step ${step}: loss ${loss.toFixed(3)}`);
  const model = await trainTinyClip(device, random, { onStep });
  const images = tinyLabels.map((label) => draw(label, random));
  report(tinyLabels, tinyLabels, await zeroShot(model, tinyProcessor, images, tinyLabels, "a {}"));
}
device.close();

/** The best label of each picture. */
function report(names, labels, table) {
  for (const [i, probabilities] of table.entries()) {
    const best = probabilities.indexOf(Math.max(...probabilities));
    console.log(`${names[i]}: ${labels[best]} (${(100 * probabilities[best]).toFixed(1)}%)`);
  }
}
