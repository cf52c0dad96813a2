/** Weights and pixels that need not be stored, for a rule makes them from their names. */

/**
 * Numbers in [-1, 1) by the rule of the reference cases: lowbias32 of the index plus FNV-1a of a name. Each is exact in f32.
 */
export function ruleNumbers(name: string, count: number): Float32Array {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  const out = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let x = (hash + i) | 0;
    x ^= x >>> 16;
    x = Math.imul(x, 0x7feb352d);
    x ^= x >>> 15;
    x = Math.imul(x, 0x846ca68b);
    x ^= x >>> 16;
    out[i] = ((x >>> 8) - 8388608) / 8388608;
  }
  return out;
}

/** Values of a parameter by the rule: its numbers, scaled by what kind of weight it is. */
export function ruleValues(name: string, count: number): Float32Array {
  if (name === "logit_scale") return new Float32Array(count).fill(2.6592);
  const isNorm = /norm/i.test(name) && name.endsWith("weight");
  const scale = isNorm ? 0.1 : name.endsWith("bias") ? 0.02 : 0.05;
  const base = isNorm ? 1 : 0;
  return ruleNumbers(name, count).map((u) => base + scale * u);
}
