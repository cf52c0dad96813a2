/** Files in Node: decoding and PNG through `sharp`. */
export type { DecodeOptions } from "./decode.js";
export { decodeImage } from "./node/decode.js";
export { encodePng } from "./node/png.js";
