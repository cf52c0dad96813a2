/** Features of texts and pictures by the two towers of a CLIP. */
import type { CLIPModel } from "@wgrad/models";
import type { PreTrainedTokenizer } from "@wgrad/models/tokenizer";
import { capture, noGrad, scope, Tensor } from "@wgrad/tensor";

/** Texts of a forward pass. */
const TEXTS = 64;

/**
 * Projected features of texts, in their order; not normalised.
 * @param onBatch is told how many texts are done
 * @returns [N, P]
 */
export async function textFeatures(
  model: CLIPModel,
  tokenizer: PreTrainedTokenizer,
  texts: readonly string[],
  onBatch: (done: number) => void = () => {},
): Promise<Float32Array> {
  const { device, config } = model;
  const { maxPositionEmbeddings } = config.textConfig;
  // One length for all passes: then they are the same programs.
  const { inputIds } = tokenizer(texts, {
    padding: true,
    truncation: true,
    maxLength: maxPositionEmbeddings,
  });
  const length = inputIds[0]?.length ?? 0;
  const out = new Float32Array(texts.length * config.projectionDim);
  model.eval();
  for (let start = 0; start < texts.length; start += TEXTS) {
    const rows = inputIds.slice(start, start + TEXTS);
    const forward = () =>
      noGrad(() =>
        scope(() => {
          // What is behind the end of a text changes nothing of it, so there is no mask.
          const ids = Tensor.from(device, Int32Array.from(rows.flat()), [rows.length, length]);
          return model.getTextFeatures({ inputIds: ids }).to("f32");
        }),
      );
    const features = start === 0 ? await device.prepare(forward) : forward();
    out.set((await features.toArray()) as Float32Array, start * config.projectionDim);
    features.dispose();
    onBatch(start + rows.length);
  }
  device.check();
  return out;
}

/** Pictures as the vision tower takes them. */
export interface PixelBatch {
  /** [B, 3, S, S] */
  pixelValues: Float32Array;
  /** Of each picture whether it could be read; what could not is zeros. */
  ok: readonly boolean[];
}

/** Features of pictures. */
export interface ImageFeatures {
  /** [N, D]: the class token after the last normalisation, before the projection */
  pooled: Float32Array;
  /** [N, P]: projected to the space of the texts, not normalised */
  projected: Float32Array;
  /** N: whether the picture could be read; the features of others mean nothing */
  ok: boolean[];
}

/** What {@link imageFeatures} reads. */
export interface ImageStream {
  /** N */
  count: number;
  /** Pictures of a forward pass. */
  batchSize: number;
  /** Pictures from `start` up to `end`, as the model's processor makes them. */
  load(start: number, end: number): Promise<PixelBatch>;
  /** Is told how many pictures are done. */
  onBatch?: (done: number) => void;
}

/** Batches that are read ahead of the adapter: decoding goes on while it computes. */
const AHEAD = 3;

/** Features of pictures in their order, by one captured forward pass. No more than a few batches are in memory. */
export async function imageFeatures(model: CLIPModel, stream: ImageStream): Promise<ImageFeatures> {
  const { device, config } = model;
  const { count, batchSize, load, onBatch } = stream;
  const { imageSize, numChannels, hiddenSize } = config.visionConfig;
  const size = numChannels * imageSize * imageSize;
  const width = Math.min(batchSize, count);
  const shape = [width, numChannels, imageSize, imageSize];
  const out: ImageFeatures = {
    pooled: new Float32Array(count * hiddenSize),
    projected: new Float32Array(count * config.projectionDim),
    ok: [],
  };
  model.eval();
  const captured = capture((pixelValues: Tensor) =>
    noGrad(() => {
      const pooled = model.vision_model.forward({ pixelValues }).poolerOutput;
      return { pooled: pooled.to("f32"), projected: model.visual_projection.forward(pooled).to("f32") };
    }),
  );
  const waiting: Promise<PixelBatch>[] = [];
  let asked = 0;
  const ask = () => {
    if (asked >= count) return;
    const batch = load(asked, Math.min(asked + width, count));
    // Whoever awaits it hears of a failure; until then nobody need be alarmed.
    batch.catch(() => {});
    waiting.push(batch);
    asked += width;
  };
  for (let i = 0; i < AHEAD; i++) ask();
  try {
    for (let start = 0; start < count; start += width) {
      const { pixelValues, ok } = await waiting.shift()!;
      ask();
      // The last batch is filled up with zeros: a shape of its own would be programs of its own.
      const whole = pixelValues.length === width * size ? pixelValues : padded(pixelValues, width * size);
      const pixels = Tensor.from(device, whole, shape);
      // The first pass compiles the programs, all at once and in the background.
      const features = start === 0 ? await device.prepare(() => captured(pixels)) : captured(pixels);
      const values = await Promise.all([features.pooled.toArray(), features.projected.toArray()]);
      pixels.dispose();
      out.pooled.set(part(values[0] as Float32Array, ok.length, hiddenSize), start * hiddenSize);
      out.projected.set(
        part(values[1] as Float32Array, ok.length, config.projectionDim),
        start * config.projectionDim,
      );
      out.ok.push(...ok);
      onBatch?.(start + ok.length);
    }
  } finally {
    captured.dispose();
  }
  device.check();
  return out;
}

function padded(values: Float32Array, length: number): Float32Array {
  const out = new Float32Array(length);
  out.set(values);
  return out;
}

function part(values: Float32Array, rows: number, columns: number): Float32Array {
  return values.subarray(0, rows * columns);
}
