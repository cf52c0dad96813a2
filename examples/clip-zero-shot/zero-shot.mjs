// Classes in words: which of these texts fits the picture best? Runs in Node and in browsers.
import { noGrad, scope, Tensor } from "@wgrad/tensor";

/**
 * Probabilities of each label for each picture, [pictures][labels].
 * @param model a CLIPModel
 * @param processor its CLIPProcessor
 * @param images pictures from decodeImage of @wgrad/image (browser) or @wgrad/image/node
 * @param labels such as ["cat", "dog"]
 * @param template what CLIP is asked; {} is the label
 */
export async function zeroShot(model, processor, images, labels, template = "a photo of a {}") {
  const { device } = model;
  const text = labels.map((label) => template.replace("{}", label));
  const { inputIds, attentionMask, pixelValues, shape } = processor({ text, images });
  const rows = (values) =>
    Tensor.from(device, Int32Array.from(values.flat()), [values.length, values[0].length]);
  model.eval();
  // What is made inside a scope is freed at its end, but for what it returns.
  const probabilities = scope(() =>
    noGrad(() => {
      const output = model.forward({
        inputIds: rows(inputIds),
        attentionMask: rows(attentionMask),
        pixelValues: Tensor.from(device, pixelValues, shape),
      });
      return output.logitsPerImage.softmax(-1);
    }),
  );
  const table = await probabilities.tolist();
  probabilities.dispose();
  return table;
}
