/** Pictures as RGB bytes. This entry runs in browsers; files and `sharp` are in `@wgrad/image/node`. */

// Pictures
export { type DecodeOptions, decodeImage } from "./decode.js";
export { ImageError } from "./errors.js";
// What a model takes
export { checkNormalization, type Normalization, toPixelValues } from "./normalize.js";
export type { RawImage } from "./raw-image.js";
// What is done to them
export {
  applyTransforms,
  type CenterCrop,
  type ColorJitter,
  centerCrop,
  checkTransforms,
  type Interpolation,
  type RandomHorizontalFlip,
  type RandomResizedCrop,
  type Resize,
  resize,
  resizedSize,
  type Size,
  type Transform,
} from "./transforms.js";
