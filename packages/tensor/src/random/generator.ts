import type { Device } from "../device/device.js";
import { live, type ParamValue } from "../device/kernel.js";
import { effect } from "../device/recording.js";
import { ValueError } from "../errors.js";
import { philox4x32, type Words4 } from "./philox.js";

/** Where a generator stands; plain JSON. The seed is a decimal string where a number could not hold it exactly. */
export interface GeneratorState {
  readonly seed: number | string;
  /** Blocks of four words used so far. */
  readonly offset: number;
}

/**
 * A reserved range of random blocks. When a captured step is replayed the same object stands for the range reserved for that
 * replay, so forward and backward see the same numbers, new ones each time.
 */
export interface RandomRange {
  /** Seed low and high word, offset low and high word, as they are now. */
  readonly words: readonly [number, number, number, number];
  /**
   * The words as kernels take them, read anew at each replay. In a `Params` struct: `seed: vec2<u32>, offset: vec2<u32>`; in
   * the kernel: `random4(params.seed, params.offset, i)`.
   */
  readonly params: readonly ParamValue[];
}

/** Stands in where no random numbers are used. */
export const NO_RANGE: RandomRange = { words: [0, 0, 0, 0], params: [0, 0, 0, 0] };

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
    const given = repeated();
    if (given) return logged(given);
    let words: RandomRange["words"] = [0, 0, 0, 0];
    effect(() => {
      words = this.#reserve(blocks);
    });
    const range: RandomRange = {
      get words() {
        return words;
      },
      params: [0, 1, 2, 3].map((i) => live(() => words[i]!)),
    };
    return logged(range);
  }

  #reserve(blocks: number): RandomRange["words"] {
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

/** Random ranges in the order in which they were reserved; of two that are nested the inner one comes first. */
interface RangeLog {
  readonly ranges: RandomRange[];
  /** Which range to hand out next; null where ranges are noted. */
  next: number | null;
  readonly outer: RangeLog | null;
}

let log: RangeLog | null = null;

/** The range to hand out again, if some are to be. */
function repeated(): RandomRange | undefined {
  for (let at = log; at; at = at.outer) if (at.next !== null) return at.ranges[at.next++];
  return undefined;
}

/** Notes a range in all logs that take notes. */
function logged(range: RandomRange): RandomRange {
  for (let at = log; at && at.next === null; at = at.outer) at.ranges.push(range);
  return range;
}

function withLog<T>(ranges: RandomRange[], next: number | null, body: () => T): T {
  const outer = log;
  log = { ranges, next, outer };
  try {
    return body();
  } finally {
    log = outer;
  }
}

/** Runs `body` and adds the random ranges that it reserves, of all generators, to `ranges` in the order of its calls. */
export function rememberRanges<T>(ranges: RandomRange[], body: () => T): T {
  return withLog(ranges, null, body);
}

/** Runs `body` again with the ranges that it got the first time: the same random numbers, and no generator moves on. */
export function repeatRanges<T>(ranges: readonly RandomRange[], body: () => T): T {
  return withLog([...ranges], 0, body);
}

/** Block `index` of a range on the host; the same words as `random4` in `philox.wgsl`. */
export function randomBlock({ words }: RandomRange, index: number): Words4 {
  const at = words[2] + index;
  return philox4x32(
    [at % 0x100000000, (words[3] + Math.floor(at / 0x100000000)) >>> 0, 0, 0],
    [words[0], words[1]],
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
