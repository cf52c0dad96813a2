import { existsSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { RawImage } from "@wgrad/image";
import { readSafetensors, toFloat32 } from "@wgrad/tensor";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AutoProcessor } from "../clip/processor-node.js";
import { ImageProcessorError } from "../errors.js";
import { CLIPImageProcessor } from "./clip.js";
import { AutoImageProcessor } from "./node.js";

const flat = (width: number, height: number, value: number): RawImage => ({
  data: new Uint8Array(width * height * 3).fill(value),
  width,
  height,
});

/** What `CLIPImageProcessor().to_json_string()` of transformers holds. */
const published = {
  crop_size: { height: 224, width: 224 },
  do_center_crop: true,
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_processor_type: "CLIPImageProcessor",
  image_std: [0.26862954, 0.26130258, 0.27577711],
  resample: 3,
  rescale_factor: 1 / 255,
  size: { shortest_edge: 224 },
};

describe("the file", () => {
  it("has CLIP's values by default", () => {
    expect(new CLIPImageProcessor().toJson()).toEqual(published);
    expect(CLIPImageProcessor.fromJson({}).toJson()).toEqual(published);
  });

  it("may spell sizes as numbers, as the published ones do", () => {
    const old = {
      ...published,
      crop_size: 224,
      size: 224,
      feature_extractor_type: "CLIPFeatureExtractor",
      image_processor_type: undefined,
      rescale_factor: undefined,
    };
    expect(CLIPImageProcessor.fromJson(old).toJson()).toEqual(published);
  });

  it("says what is done", () => {
    const processor = CLIPImageProcessor.fromJson({
      size: { height: 20, width: 30 },
      do_center_crop: false,
      resample: 2,
      do_rescale: false,
      do_normalize: false,
    });
    expect(processor.transforms).toEqual([{ type: "resize", size: [20, 30], interpolation: "bilinear" }]);
    const { pixelValues, shape } = processor.preprocess(flat(7, 9, 200));
    expect(shape).toEqual([1, 3, 20, 30]);
    expect(new Set(pixelValues)).toEqual(new Set([200]));
  });

  it.each([
    [{ size: { longest_edge: 224 } }, 'size is {"longest_edge":224}, expected a whole number over 0 for the'],
    [{ crop_size: 0 }, "crop_size is 0, expected a whole number over 0"],
    [{ resample: 1 }, "resample is 1, expected 0 (nearest), 2 (bilinear) or 3 (bicubic); 1 (lanczos) is not"],
    [{ do_resize: "yes" }, 'do_resize is "yes", expected true or false'],
    [{ image_mean: [1, 2] }, "image_mean is [1,2], expected 3 numbers"],
    [{ image_std: [1, 0, 1] }, "std is [1, 0, 1], expected 3 numbers other than 0"],
    [{ rescale_factor: "1/255" }, 'rescale_factor is "1/255", expected a number'],
    [
      { image_processor_type: "ViTImageProcessor" },
      'image_processor_type is "ViTImageProcessor", expected CLIP',
    ],
  ])("%j is refused", (json, message) => {
    const read = () => CLIPImageProcessor.fromJson(json, "a/preprocessor_config.json");
    expect(read).toThrow(ImageProcessorError);
    expect(read).toThrow(`a/preprocessor_config.json: `);
    expect(read).toThrow(message);
  });
});

describe("preprocess", () => {
  it("gives [B, 3, H, W], normalised", () => {
    const { pixelValues, shape } = new CLIPImageProcessor().preprocess([
      flat(300, 240, 255),
      flat(64, 64, 0),
    ]);
    expect(shape).toEqual([2, 3, 224, 224]);
    const at = (image: number, channel: number) => pixelValues[(image * 3 + channel) * 224 * 224 + 5];
    expect([at(0, 0), at(0, 1), at(0, 2), at(1, 2)]).toEqual(
      [
        (1 - 0.48145466) / 0.26862954,
        (1 - 0.4578275) / 0.26130258,
        (1 - 0.40821073) / 0.27577711,
        -0.40821073 / 0.27577711,
      ].map(Math.fround),
    );
  });

  it("names pictures that come out with different sizes", () => {
    const processor = new CLIPImageProcessor({ doCenterCrop: false, size: 8 });
    expect(() => processor.preprocess([flat(8, 8, 0), flat(16, 8, 0)])).toThrow(
      "picture 1 comes out with 16x8 pixels, picture 0 with 8x8",
    );
    expect(() => processor.preprocess([])).toThrow("the list of pictures is empty");
  });
});

describe("folders", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "wgrad-processor-"));
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  async function put(name: string, files: Record<string, string>): Promise<string> {
    const place = join(folder, name);
    await mkdir(place);
    for (const [file, text] of Object.entries(files)) await writeFile(join(place, file), text);
    return place;
  }

  it("are read and written", async () => {
    const from = await put("a", { "preprocessor_config.json": JSON.stringify({ size: 32, crop_size: 32 }) });
    const processor = await AutoImageProcessor.fromPretrained(from);
    expect(processor.cropSize).toEqual({ height: 32, width: 32 });
    const to = join(folder, "b");
    expect(await processor.savePretrained(to)).toEqual(["preprocessor_config.json"]);
    const saved = JSON.parse(await readFile(join(to, "preprocessor_config.json"), "utf8"));
    expect(saved).toEqual({
      ...published,
      size: { shortest_edge: 32 },
      crop_size: { height: 32, width: 32 },
    });
  });

  it("may have all parts in one file, as transformers 5 writes it", async () => {
    const text = JSON.stringify({
      image_processor: { ...published, size: 48 },
      processor_class: "CLIPProcessor",
    });
    const processor = await AutoImageProcessor.fromPretrained(
      await put("c", { "processor_config.json": text }),
    );
    expect(processor.size).toEqual({ shortestEdge: 48 });
    const none = await put("d", { "processor_config.json": "{}" });
    await expect(AutoImageProcessor.fromPretrained(none)).rejects.toThrow("no image_processor in it");
  });

  it("without the file, or with a broken one, are named", async () => {
    const empty = await put("e", { "config.json": "{}" });
    await expect(AutoImageProcessor.fromPretrained(empty)).rejects.toThrow(
      `${empty} is no image processor folder: it needs preprocessor_config.json`,
    );
    const broken = await put("f", { "preprocessor_config.json": "{" });
    await expect(AutoImageProcessor.fromPretrained(broken)).rejects.toThrow("not valid JSON");
  });

  it("hold texts and pictures together", async () => {
    const fixture = JSON.parse(
      readFileSync(join(import.meta.dirname, "../tokenizer/fixtures/tiny-bert.json"), "utf8"),
    ) as { tokenizer: object };
    const from = await put("g", {
      "preprocessor_config.json": JSON.stringify({ size: 16, crop_size: 16 }),
      "tokenizer.json": JSON.stringify(fixture.tokenizer),
      "tokenizer_config.json": JSON.stringify({ pad_token: "[PAD]", model_max_length: 5 }),
    });
    const processor = await AutoProcessor.fromPretrained(from);
    const text = ["a", "a a a a a a a a"];
    const both = processor({ text, images: flat(20, 30, 9) });
    expect(both.inputIds?.map((row) => row.length)).toEqual([5, 5]);
    expect(both.attentionMask?.[0]).toContain(0);
    expect(both.shape).toEqual([1, 3, 16, 16]);
    expect(processor({ text: "a" })).toEqual({
      ...processor.tokenizer(["a"]),
    });
    expect(Object.keys(processor({ images: [flat(4, 4, 0)] }))).toEqual(["pixelValues", "shape"]);
    expect(() => processor({})).toThrow("neither text nor images");
    expect(await processor.savePretrained(join(folder, "h"))).toEqual([
      "tokenizer.json",
      "tokenizer_config.json",
      "preprocessor_config.json",
    ]);
    expect((await AutoProcessor.fromPretrained(join(folder, "h")))({ text })).toEqual(processor({ text }));
  });

  it("are needed for writing", async () => {
    await expect(new CLIPImageProcessor().savePretrained(folder)).rejects.toThrow("use toFiles()");
    expect(JSON.parse(new CLIPImageProcessor().toFiles()["preprocessor_config.json"] ?? "")).toEqual(
      published,
    );
  });
});

const shared = join(process.env.WGRAD_SHARED ?? "", "fixtures", "images");

describe.skipIf(!existsSync(shared))("beside transformers' pixel values (WGRAD_SHARED)", () => {
  it.each(["tiny0.jpg", "tiny_5x3.png"])("%s", (name) => {
    const stored = readSafetensors(readFileSync(join(shared, "images.safetensors")));
    const { bytes, shape } = stored.get(`${name}.decoded`);
    const [height = 0, width = 0] = shape;
    const { pixelValues } = new CLIPImageProcessor().preprocess({ data: bytes.slice(), width, height });
    const wanted = toFloat32(stored.get(`${name}.pixel_values`));
    let largest = 0;
    for (let i = 0; i < wanted.length; i++)
      largest = Math.max(largest, Math.abs((pixelValues[i] as number) - (wanted[i] as number)));
    // Float32 there, one rounding from float64 here.
    expect(largest).toBeLessThan(5e-7);
  });
});

describe.skipIf(!existsSync(join(shared, "../../checkpoints/clip-tiny-imagenet")))(
  "a real folder (WGRAD_SHARED)",
  () => {
    it("cuts texts at 77 positions", async () => {
      const processor = await AutoProcessor.fromPretrained(
        join(shared, "../../checkpoints/clip-tiny-imagenet"),
      );
      const { inputIds = [], shape } = processor({
        text: ["a photo of a cat", "cat ".repeat(200)],
        images: [flat(80, 64, 1)],
      });
      expect(inputIds.map((row) => row.length)).toEqual([77, 77]);
      // Begin and end of text at their places, padding is the end again.
      expect([inputIds[0]?.[0], inputIds[0]?.[6], inputIds[0]?.[7], inputIds[1]?.[76]]).toEqual([
        49406, 49407, 49407, 49407,
      ]);
      expect(shape).toEqual([1, 3, 64, 64]);
    });
  },
);
