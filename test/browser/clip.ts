/** CLIP as the tests run it here and in the browser: against reference values, and some steps of LoRA from fixed weights. */
import { CLIPModel, clipConfig } from "@wgrad/models";
import { getPeftModel } from "@wgrad/peft";
import { AdamW, type Device, readSafetensors, scope, Tensor, toFloat32 } from "@wgrad/tensor";
import { configJson, SIZE } from "../clip/tiny-clip.js";
import { uniform } from "./training.js";

/** Files of a reference model by name. */
export type ReadFile = (name: string) => Promise<Uint8Array>;

interface Tolerances {
  tol: Record<string, { rtol: number; atol: number }>;
}

/**
 * Forward and backward of a reference CLIP with its contrastive loss.
 * @returns by name (`out.loss`, `grad.logit_scale`, …) how far the worst number is away, as a share of what is allowed
 */
export async function referenceErrors(device: Device, read: ReadFile): Promise<Record<string, number>> {
  const json = async (name: string) => JSON.parse(new TextDecoder().decode(await read(name)));
  const weights = readSafetensors(await read("model.safetensors"));
  const expected = readSafetensors(await read("io.safetensors"));
  const { tol } = (await json("io.json")) as Tolerances;
  const model = new CLIPModel(device, clipConfig(await json("config.json")));
  await model.loadWeights({
    name: "model.safetensors",
    shapes: new Map([...weights.tensors].map(([key, { shape }]) => [key, shape])),
    read: async (key) => toFloat32(weights.get(key)),
  });
  const input = (name: string) => {
    const { bytes, shape, dtype } = expected.get(`in.${name}`);
    const data = bytes.slice().buffer;
    return Tensor.from(device, dtype === "I32" ? new Int32Array(data) : new Float32Array(data), [...shape]);
  };
  const inputs = {
    inputIds: input("input_ids"),
    attentionMask: input("attention_mask"),
    pixelValues: input("pixel_values"),
  };
  const found = scope((): Record<string, Tensor> => {
    const { textModelOutput, visionModelOutput, ...out } = model.forward({ ...inputs, returnLoss: true });
    out.loss!.backward();
    return {
      "out.loss": out.loss!,
      "out.logits_per_image": out.logitsPerImage.contiguous(),
      "out.image_embeds": out.imageEmbeds,
      "out.text_embeds": out.textEmbeds,
      "out.text.pooler_output": textModelOutput.poolerOutput,
      "out.vision.pooler_output": visionModelOutput.poolerOutput,
    };
  });
  for (const [name, parameter] of model.namedParameters()) found[`grad.${name}`] = parameter.grad!;
  const errors: Record<string, number> = {};
  for (const [name, tensor] of Object.entries(found)) {
    const got = (await tensor.toArray()) as Float32Array;
    const want = toFloat32(expected.get(name));
    const { rtol, atol } = tol[name]!;
    errors[name] = want.reduce(
      (worst, value, i) => Math.max(worst, Math.abs(got[i]! - value) / (atol + rtol * Math.abs(value))),
      0,
    );
  }
  for (const tensor of [...Object.values(found), ...Object.values(inputs)]) tensor.dispose();
  model.dispose();
  return errors;
}

const STEPS = 5;
const BATCH = 4;
const TOKENS = 8;

/** The loss before each step of LoRA on both towers and after the last; nothing is drawn from the device. */
export async function adaptClip(device: Device): Promise<number[]> {
  const random = uniform(11);
  const next = () => random.next().value;
  const model = new CLIPModel(device, clipConfig(configJson));
  const adapted = getPeftModel(model, { r: 4, loraAlpha: 8, targetModules: ["q_proj", "v_proj"] });
  for (const [name, parameter] of adapted.namedParameters()) {
    const centre = name.endsWith("logit_scale") ? 2.6592 : /norm\d?\.weight/.test(name) ? 1 : 0;
    const width = name.includes("lora_B") || name.endsWith("logit_scale") ? 0 : 0.3;
    parameter.copy_(Float32Array.from({ length: parameter.numel }, () => centre + width * (next() - 0.5)));
  }
  adapted.train();
  const { vocab_size: vocabulary, eos_token_id: end } = configJson.text_config;
  // Each text ends at another place.
  const ids = Int32Array.from({ length: BATCH * TOKENS }, (_, i) =>
    i % TOKENS >= TOKENS - 1 - Math.floor(i / TOKENS) ? end : Math.floor(next() * (vocabulary - 2)),
  );
  const inputIds = Tensor.from(device, ids, [BATCH, TOKENS]);
  const pixels = Float32Array.from({ length: BATCH * 3 * SIZE ** 2 }, () => 4 * next() - 2);
  const pixelValues = Tensor.from(device, pixels, [BATCH, 3, SIZE, SIZE]);
  const trained = [...adapted.parameters()].filter((parameter) => parameter.requiresGrad);
  const optimizer = new AdamW(trained, { lr: 2e-2 });
  const losses: number[] = [];
  for (let step = 0; step <= STEPS; step++) {
    const loss = scope(() => {
      const { loss } = adapted.forward({ inputIds, pixelValues, returnLoss: true } as never) as {
        loss: Tensor;
      };
      if (step < STEPS) {
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
      }
      return loss;
    });
    losses.push(await loss.item());
    loss.dispose();
  }
  optimizer.dispose();
  adapted.dispose();
  for (const tensor of [inputIds, pixelValues]) tensor.dispose();
  return losses;
}
