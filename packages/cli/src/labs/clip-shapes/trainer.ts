/** A CLIP in the Trainer: a collator of pictures and captions, the contrastive loss, and zero-shot as its evaluation. */
import type { CLIPModel, CLIPProcessor } from "@wgrad/models";
import { crossEntropy, normalize, scope, Tensor } from "@wgrad/tensor";
import {
  type CollateContext,
  type ModelInputs,
  type PredictionOutput,
  type TensorBatch,
  Trainer,
  type TrainerDataset,
  type TrainerOptions,
} from "@wgrad/trainer";
import { textFeatures } from "../../clip/encode.js";
import type { Pictures, ShapeRow } from "./dataset.js";
import { DistinctSampler } from "./distinct-sampler.js";
import { allPrompts, combinationOf, descriptionOf, NUM_COMBINATIONS } from "./shapes.js";

/**
 * Makes batches of rows: pictures and captions to train on, pictures and the numbers of their descriptions to evaluate on.
 * @param length tokens that captions are padded to, so that every batch has the shape that was recorded
 */
export function shapesCollator(processor: CLIPProcessor, pictures: Pictures, length: number) {
  return (rows: readonly ShapeRow[], context?: CollateContext): TensorBatch => {
    const batchSize = rows.length;
    const images = rows.map((row) => pictures.of(row));
    const { pixelValues, shape } = processor.imageProcessor.preprocess(images);
    const inputs = { pixelValues: { data: pixelValues, shape } };
    if (!context?.training) {
      const combinations = Int32Array.from(rows, (row) => combinationOf(descriptionOf(row.description)));
      return {
        inputs: { ...inputs, combinations: { data: combinations, shape: [batchSize] } },
        labels: Int32Array.from(rows, ({ description }) => description),
        batchSize,
      };
    }
    const captions = rows.map(({ caption }) => caption);
    const { inputIds } = processor.tokenizer(captions, { padding: "max_length", maxLength: length });
    const ids = { data: Int32Array.from(inputIds.flat()), shape: [batchSize, length] };
    return { inputs: { ...inputs, inputIds: ids }, batchSize, numTokens: ids.data.length };
  };
}

/**
 * Trains a CLIP by the contrastive loss, and evaluates it by zero-shot: which of the prompts is nearest to a picture. The logits of an
 * evaluation are those of all prompts; its loss is the cross entropy of the combinations of colour and form, each with the
 * logit of its best prompt.
 */
export class ShapesTrainer extends Trainer {
  readonly #clip: CLIPModel;
  readonly #processor: CLIPProcessor;
  /** [prompts, P], of length 1; null outside of an evaluation. */
  #prompts: Tensor | null = null;

  constructor(options: TrainerOptions, clip: CLIPModel, processor: CLIPProcessor) {
    super(options);
    this.#clip = clip;
    this.#processor = processor;
  }

  override getTrainSampler(dataset: TrainerDataset): DistinctSampler {
    const { args } = this;
    const keys = Array.from(
      { length: dataset.numRows },
      (_, i) => (dataset as TrainerDataset<ShapeRow>).at(i).description,
    );
    return new DistinctSampler(keys, args.perDeviceTrainBatchSize, args.dataSeed ?? args.seed);
  }

  override computeLoss(inputs: ModelInputs): { loss: Tensor; logits: Tensor | null } {
    const pixelValues = inputs.pixelValues!;
    if (!this.#prompts) {
      const { loss } = this.#clip.forward({ inputIds: inputs.inputIds, pixelValues, returnLoss: true });
      return { loss: loss!, logits: null };
    }
    const embeds = normalize(this.#clip.getImageFeatures({ pixelValues }), { dim: -1 });
    const logits = this.#clip.similarities(embeds, this.#prompts);
    const best = logits.reshape([logits.size(0), NUM_COMBINATIONS, -1]).max(2).values;
    return { loss: crossEntropy(best, inputs.combinations!), logits };
  }

  override evaluate(...given: Parameters<Trainer["evaluate"]>): Promise<Record<string, number>> {
    return this.#withPrompts(() => super.evaluate(...given));
  }

  override predict(...given: Parameters<Trainer["predict"]>): Promise<PredictionOutput> {
    return this.#withPrompts(() => super.predict(...given));
  }

  /** Encodes the prompts by the text tower as it is now, for all batches of an evaluation. */
  async #withPrompts<T>(body: () => Promise<T>): Promise<T> {
    if (this.#prompts) return body();
    const { device, training, config } = this.#clip;
    const prompts = allPrompts();
    const features = await textFeatures(this.#clip, this.#processor.tokenizer, prompts);
    this.#clip.train(training);
    this.#prompts = scope(() =>
      normalize(Tensor.from(device, features, [prompts.length, config.projectionDim]), { dim: -1 }),
    );
    try {
      return await body();
    } finally {
      this.#prompts.dispose();
      this.#prompts = null;
    }
  }
}
