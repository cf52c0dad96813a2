/** The shapes data set: which description each picture has, and which caption; pictures are drawn when they are asked for. */
import { Generator, permutation } from "@wgrad/datasets";
import type { RawImage } from "@wgrad/image";
import { drawShape } from "./draw.js";
import { captionOf, descriptionOf, descriptionsOf, NUM_TEMPLATES } from "./shapes.js";

/** One row of a split. */
export interface ShapeRow {
  /** Number of the description: see `descriptionOf`. */
  description: number;
  caption: string;
  /** Number of the picture in the whole data set. */
  picture: number;
}

/** Sizes and seed of {@link makeShapesDataset}. */
export interface ShapesOptions {
  /** Default 42. */
  seed?: number;
  /** Pictures of each description of the training split; default 20. */
  picturesPerDescription?: number;
  /** Pictures of `validation`, and of `test`; default 432. */
  evaluationPictures?: number;
}

/** The splits of the shapes data set. */
export interface ShapesDataset {
  /** Every description whose colour and form are not held out, equally often. */
  train: ShapeRow[];
  /** New pictures of those. */
  validation: ShapeRow[];
  /** Pictures of colours and forms that never come together in `train`. */
  test: ShapeRow[];
}

/** Makes the splits; the same seed and sizes give the same rows and the same pixels. */
export function makeShapesDataset(options: ShapesOptions = {}): ShapesDataset {
  const { seed = 42, picturesPerDescription = 20, evaluationPictures = 432 } = options;
  const seen = descriptionsOf("seen");
  const heldOut = descriptionsOf("held-out");
  const templates = new Generator(seed, 0xffffffff);
  let picture = 0;
  const row = (description: number): ShapeRow => ({
    description,
    caption: captionOf(descriptionOf(description), templates.nextBelow(NUM_TEMPLATES)),
    picture: picture++,
  });
  const drawn = (from: readonly number[], stream: number) => {
    const order = permutation(from.length, seed, stream);
    return Array.from({ length: evaluationPictures }, (_, i) => row(from[order[i % order.length]!]!));
  };
  const train = Array.from({ length: picturesPerDescription }, () => seen.map(row)).flat();
  return { train, validation: drawn(seen, 0xfffffffe), test: drawn(heldOut, 0xfffffffd) };
}

/** Draws the pictures of a data set and keeps them. */
export class Pictures {
  readonly side: number;
  readonly seed: number;
  readonly #drawn = new Map<number, RawImage>();

  constructor({ side, seed }: { side: number; seed: number }) {
    this.side = side;
    this.seed = seed;
  }

  of({ description, picture }: ShapeRow): RawImage {
    const kept = this.#drawn.get(picture);
    if (kept) return kept;
    const image = drawShape(descriptionOf(description), { side: this.side, seed: this.seed, picture });
    this.#drawn.set(picture, image);
    return image;
  }
}
