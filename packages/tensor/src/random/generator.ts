import type { Device } from "../device/device.js";
import { ValueError } from "../errors.js";
import { philox4x32, type Words4 } from "./philox.js";

/** Where a generator stands; plain JSON. The seed is a decimal string where a number could not hold it exactly. */
export interface GeneratorState {
  readonly seed: number | string;
  /** Blocks of four words used so far. */
  readonly offset: number;
}

/**
 * A reserved range of random blocks, as kernels take it: seed low and high word, offset low and high word. In a `Params`
 * struct: `seed: vec2<u32>, offset: vec2<u32>`; in the kernel: `random4(params.seed, params.offset, i)`.
 */
export type RandomRange = readonly [number, number, number, number];

/** PyTorch's seed of a generator that nobody seeded. */
const DEFAULT_SEED = 67280421310721;

function parseSeed(seed: number | bigint | string): bigint {
  if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
    throw new ValueError(
      `Generator: the seed ${seed} is not a whole number below 2^53. Larger seeds can be given as a bigint.`,
    );
  }
  if (typeof seed === "string" && !/^-?\d+$/.test(seed)) {
    throw new ValueError(`Generator: the seed "${seed}" is not a whole number.`);
  }
  const value = BigInt(seed);
  if (value >= 1n << 64n || value < -(1n << 63n))
    throw new ValueError(`Generator: the seed ${value} does not fit into 64 bits.`);
  return BigInt.asUintN(64, value);
}

/**
 * A stream of random numbers: a 64-bit seed and the number of Philox blocks (four 32-bit words each) used so far. It
 * draws nothing by itself; `next` reserves blocks and kernels compute them. The same seed gives the same words on every
 * adapter, and a saved state continues the stream exactly.
 */
export class Generator {
  #seed = 0n;
  #offset = 0;

  /** @param seed whole number, 64 bits (a bigint from 2^53 on); negative ones by two's complement, as in PyTorch */
  constructor(seed: number | bigint = DEFAULT_SEED) {
    this.manualSeed(seed);
  }

  /** Starts the stream of `seed` from its beginning. Returns itself. */
  manualSeed(seed: number | bigint): this {
    this.#seed = parseSeed(seed);
    this.#offset = 0;
    return this;
  }

  /** The seed in use. */
  get initialSeed(): bigint {
    return this.#seed;
  }

  /** Where the stream stands, to be saved with a checkpoint. */
  getState(): GeneratorState {
    const exact = this.#seed <= BigInt(Number.MAX_SAFE_INTEGER);
    return { seed: exact ? Number(this.#seed) : this.#seed.toString(), offset: this.#offset };
  }

  /**
   * Continues from a saved state.
   * @throws ValueError if the state is not one
   */
  setState(state: GeneratorState): this {
    if (!Number.isSafeInteger(state.offset) || state.offset < 0) {
      throw new ValueError(
        `Generator: the offset ${state.offset} of the state is not a whole number of blocks. Pass what getState() returned.`,
      );
    }
    this.#seed = parseSeed(state.seed);
    this.#offset = state.offset;
    return this;
  }

  /** Reserves `blocks` blocks of four words for one use. Two calls never overlap. */
  next(blocks: number): RandomRange {
    if (!Number.isSafeInteger(blocks) || blocks < 0)
      throw new ValueError(`Generator.next: ${blocks} is not a number of blocks.`);
    const start = this.#offset;
    this.#offset += blocks;
    if (this.#offset > Number.MAX_SAFE_INTEGER) {
      throw new ValueError(
        "Generator.next: the stream of this seed is used up (2^53 blocks). Continue with another seed.",
      );
    }
    return [
      Number(this.#seed & 0xffffffffn),
      Number(this.#seed >> 32n),
      start % 0x100000000,
      Math.floor(start / 0x100000000),
    ];
  }
}

/** Block `index` of a range on the host; the same words as `random4` in `philox.wgsl`. */
export function randomBlock(range: RandomRange, index: number): Words4 {
  const at = range[2] + index;
  return philox4x32(
    [at % 0x100000000, (range[3] + Math.floor(at / 0x100000000)) >>> 0, 0, 0],
    [range[0], range[1]],
  );
}

const defaults = new WeakMap<Device, Generator>();

/** The generator that random functions on `device` use if they are given none. */
export function defaultGenerator(device: Device): Generator {
  let generator = defaults.get(device);
  if (!generator) {
    generator = new Generator();
    defaults.set(device, generator);
  }
  return generator;
}

/** Seeds the device's default generator, as `torch.manual_seed`. Returns it. */
export function manualSeed(device: Device, seed: number | bigint): Generator {
  return defaultGenerator(device).manualSeed(seed);
}
