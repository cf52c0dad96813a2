import { Generator, type GeneratorState, randomBlock } from "../../random/generator.js";
import { uniformOf } from "../../random/philox.js";

/** Dropout in plain loops: which elements the generator's state keeps, and their scale. */
export function dropoutReference(x: ArrayLike<number>, p: number, state: GeneratorState): Float32Array {
  const range = new Generator().setState(state).next(Math.ceil(x.length / 4));
  const scale = p === 1 ? 0 : Math.fround(1 / (1 - p));
  return Float32Array.from({ length: x.length }, (_, i) => {
    const u = uniformOf(randomBlock(range, Math.floor(i / 4))[i % 4]!);
    return u >= Math.fround(p) ? Math.fround(x[i]!) * scale : 0;
  });
}
