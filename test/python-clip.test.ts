// CLIP's files go both ways between wgrad and Python's transformers and PEFT, where these are installed
// (scripts/lib/ensure-python.mjs; `CI=1 npm test` does it).
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { decodeImage } from "@wgrad/image/node";
import {
  CLIPForClassification,
  CLIPForImageClassification,
  CLIPImageProcessor,
  CLIPModel,
  type CLIPOutput,
  CLIPProcessor,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  CLIPVisionModel,
  CLIPVisionModelWithProjection,
  clipConfig,
  type PreTrainedModel,
} from "@wgrad/models";
import {
  AutoModel,
  AutoProcessor,
  AutoTokenizer,
  fromConfig,
  fromPretrained,
  type ModelClass,
  savePretrained,
} from "@wgrad/models/node";
import { type PeftModel as Adapted, getPeftModel, type PeftConfigInput } from "@wgrad/peft";
import { PeftModel, savePretrained as saveAdapter } from "@wgrad/peft/node";
import { AdamW, type Device, init, manualSeed, noGrad, scope, Tensor } from "@wgrad/tensor";
import { openDevice } from "@wgrad/tensor/node";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { configJson, endId, SIZE, tokenizerFiles } from "./clip/tiny-clip.ts";
import { missing, runPython, titled } from "./python/interpreter.ts";

const pictures = resolve(import.meta.dirname, "../packages/image/fixtures/files");
/** Pictures in which decoders tend to differ, each with Pillow's answer in Python. */
const files = [
  "tiny0.jpg",
  "gray.jpg",
  "cmyk.jpg",
  "exif_rotated.jpg",
  "gray16.png",
  "palette_transparent.png",
  "la.png",
  "lossy.webp",
  "animated.gif",
  "one_pixel.png",
].map((name) => join(pictures, name));
const texts = ["a photo of a red circle", "", "It's BLUE — or grün?", "square ".repeat(20)];

const adapters: Record<string, PeftConfigInput> = {
  lora: { r: 4, loraAlpha: 8, targetModules: ["q_proj", "v_proj"] },
  rslora: { r: 2, loraAlpha: 3, useRslora: true, targetModules: ["k_proj", "out_proj", "fc1", "fc2"] },
  dora: { r: 2, loraAlpha: 4, useDora: true, targetModules: ["q_proj", "v_proj"] },
};

/** A hundredth of one of the 256 levels of a colour, in normalised values. */
const LEVEL = 0.01 / 255 / 0.27;

interface Processed {
  input_ids: number[][];
  attention_mask: number[][];
  pixel_values: number[];
}

const why = missing("torch", "transformers", "peft", "PIL");
describe.skipIf(why !== null)(titled("CLIP in transformers and PEFT", why), () => {
  let device: Device;
  let folder: string;
  let inputIds: Tensor;
  let attentionMask: Tensor;
  let pixelValues: Tensor;
  let theirs: Record<string, unknown>;
  const ours: Record<string, number[]> = {};
  const place = (name: string) => join(folder, name);
  const config = clipConfig({ ...configJson, num_labels: 3 });

  const numbers = async (tensor: Tensor) => Array.from((await tensor.toArray()) as Float32Array);
  /** Logits and embeddings of a whole CLIP, adapted or not. */
  async function pairs(model: { eval(): unknown; forward(input: never): unknown }): Promise<number[]> {
    model.eval();
    const input = { inputIds, attentionMask, pixelValues };
    const out = noGrad(() => model.forward(input as never)) as CLIPOutput;
    const parts = [out.logitsPerImage.contiguous(), out.textEmbeds, out.imageEmbeds];
    return (await Promise.all(parts.map(numbers))).flat();
  }
  /** A model of random weights, none of them at its start value: a norm or a bias that is not read would not show. */
  function made<M extends PreTrainedModel>(modelClass: ModelClass<M, typeof config>): M {
    const model = fromConfig(modelClass, device, config);
    const noise = (shape: readonly number[]) => init.normal_(Tensor.zeros(device, [...shape]), 0, 0.05);
    noGrad(() => {
      for (const parameter of model.parameters()) parameter.copy_(parameter.add(noise(parameter.shape)));
    });
    return model.eval() as M;
  }
  const loaded = <M extends PreTrainedModel>(modelClass: ModelClass<M, typeof config>, name: string) =>
    fromPretrained(modelClass, device, place(name)).then(({ model }) => model.eval() as M);
  const base = () => loaded(CLIPModel, "model");

  async function processed(processor: CLIPProcessor): Promise<Processed> {
    const images = await Promise.all(files.map((file) => decodeImage(file)));
    const out = processor({ text: texts, images });
    return {
      input_ids: out.inputIds!,
      attention_mask: out.attentionMask!,
      pixel_values: Array.from(out.pixelValues!),
    };
  }

  function difference(got: readonly number[], want: unknown): number {
    expect(want, "an answer from Python").toBeInstanceOf(Array);
    const values = want as number[];
    expect(got).toHaveLength(values.length);
    // Numbers that are all the same would hide weights that were not read.
    expect(Math.max(...values) - Math.min(...values)).toBeGreaterThan(1e-2);
    return Math.max(...got.map((value, i) => Math.abs(value - values[i]!)));
  }

  beforeAll(async () => {
    device = await openDevice();
    manualSeed(device, 5);
    folder = mkdtempSync(join(tmpdir(), "wgrad-python-clip-"));
    for (const [name, json] of Object.entries(tokenizerFiles)) {
      mkdirSync(place("tokenizer"), { recursive: true });
      writeFileSync(join(place("tokenizer"), name), JSON.stringify(json));
    }
    const imageProcessor = new CLIPImageProcessor({ size: SIZE, cropSize: SIZE });
    const processor = new CLIPProcessor(
      await AutoTokenizer.fromPretrained(place("tokenizer")),
      imageProcessor,
    );
    const encoded = await processed(processor);
    ours.processor = encoded.pixel_values;
    const shape = [3, 3, SIZE, SIZE];
    const ids = encoded.input_ids.slice(0, 3);
    const tensor = (rows: readonly number[][]) =>
      Tensor.from(device, Int32Array.from(rows.flat()), [rows.length, rows[0]!.length]);
    inputIds = tensor(ids);
    attentionMask = tensor(encoded.attention_mask.slice(0, 3));
    pixelValues = Tensor.from(device, Float32Array.from(ours.processor.slice(0, 3 * 3 * SIZE ** 2)), shape);

    const model = made(CLIPModel);
    ours.model = await pairs(model);
    await savePretrained(model, place("model"), { tokenizer: processor.tokenizer });
    for (const [name, text] of Object.entries(imageProcessor.toFiles()))
      writeFileSync(join(place("model"), name), text);
    const towers = {
      text: [made(CLIPTextModel), "poolerOutput"],
      vision: [made(CLIPVisionModel), "poolerOutput"],
      "text-projected": [made(CLIPTextModelWithProjection), "textEmbeds"],
      "vision-projected": [made(CLIPVisionModelWithProjection), "imageEmbeds"],
      classes: [made(CLIPForImageClassification), "logits"],
      "by-hand": [made(CLIPForClassification), "logits"],
    } as const;
    for (const [name, [tower, output]] of Object.entries(towers)) {
      ours[name] = await run(tower, output);
      await savePretrained(tower, place(name));
    }
    for (const [name, settings] of Object.entries(adapters)) {
      const adapted = getPeftModel(await base(), settings);
      await train(adapted);
      ours[name] = await pairs(adapted);
      await saveAdapter(adapted, place(name));
    }
    const input = {
      input_ids: ids,
      attention_mask: encoded.attention_mask.slice(0, 3),
      pixel_values: await numbers(pixelValues),
      pixel_shape: shape,
      adapters: Object.keys(adapters),
      files,
      texts,
    };
    writeFileSync(place("input.json"), JSON.stringify(input));
    runPython("clip.py", folder);
    theirs = JSON.parse(readFileSync(place("output.json"), "utf8"));
    const failed = Object.entries(theirs).filter(
      ([, answer]) => typeof answer === "object" && "error" in answer!,
    );
    expect(failed, "what Python could not do").toEqual([]);
  }, 600_000); // PyTorch takes its time to start where other tests run beside it.
  afterAll(() => {
    device.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** One output of a tower. */
  async function run(model: PreTrainedModel, output: string): Promise<number[]> {
    const input = { inputIds, attentionMask, pixelValues };
    const { forward } = model as unknown as { forward(input: object): Record<string, Tensor> };
    return numbers(noGrad(() => forward.call(model, input))[output]!);
  }

  /** Some contrastive steps, so that no matrix of an adapter is zero. */
  async function train(model: Adapted<CLIPModel>): Promise<void> {
    model.train();
    const optimizer = new AdamW(
      [...model.parameters()].filter((parameter) => parameter.requiresGrad),
      {
        lr: 2e-2,
      },
    );
    for (let step = 0; step < 4; step++) {
      scope(() => {
        const input = { inputIds, attentionMask, pixelValues, returnLoss: true };
        (model.forward(input as never) as CLIPOutput).loss!.backward();
        optimizer.step();
        optimizer.zeroGrad();
      });
    }
    optimizer.dispose();
  }

  it.each(["model", "text", "vision", "text-projected", "vision-projected", "classes", "by-hand"])(
    "what was saved here (%s) gives the same numbers in transformers",
    (name) => {
      expect(difference(ours[name]!, theirs[name])).toBeLessThan(1e-4);
    },
  );

  it("what transformers saved gives the same numbers here", async () => {
    const whole = await AutoModel.fromPretrained(device, place("python-model"));
    expect(difference(await pairs(whole.model), theirs["python-model"])).toBeLessThan(1e-4);
    for (const [name, modelClass, output] of [
      ["python-text-projected", CLIPTextModelWithProjection, "textEmbeds"],
      ["python-vision", CLIPVisionModel, "poolerOutput"],
      ["python-vision-projected", CLIPVisionModelWithProjection, "imageEmbeds"],
    ] as const) {
      const tower = await loaded<PreTrainedModel>(modelClass, name);
      expect(difference(await run(tower, output), theirs[name]), name).toBeLessThan(1e-4);
    }
  });

  it.each(Object.keys(adapters))("an adapter trained here (%s) gives the same numbers in PEFT", (name) => {
    expect(difference(ours[name]!, theirs[name])).toBeLessThan(1e-4);
    expect(difference(ours[name]!, theirs.model)).toBeGreaterThan(1e-2);
  });

  it.each(["python-lora", "python-dora"])(
    "an adapter that PEFT saved (%s) gives the same numbers here",
    async (name) => {
      const adapted = await PeftModel.fromPretrained(await base(), place(name));
      expect(difference(await pairs(adapted), theirs[name])).toBeLessThan(1e-4);
    },
  );

  it("a processor saved here gives the same ids and pixels in transformers", () => {
    const answer = theirs.processor as Processed;
    expect(answer.input_ids[3]).toHaveLength(16);
    expect(answer.input_ids[0]!.filter((id) => id === endId).length).toBeGreaterThan(1);
    expect(difference(ours.processor!, answer.pixel_values)).toBeLessThan(LEVEL);
    expect(difference(ours.processor!, theirs["image-processor"])).toBeLessThan(LEVEL);
  });

  it("a processor that transformers saved gives the same ids and pixels here", async () => {
    const answer = theirs["python-processor"] as Processed;
    const found = await processed(await AutoProcessor.fromPretrained(place("python-processor")));
    expect(found.input_ids).toEqual(answer.input_ids);
    expect(found.attention_mask).toEqual(answer.attention_mask);
    expect(difference(found.pixel_values, answer.pixel_values)).toBeLessThan(LEVEL);
  });
});
