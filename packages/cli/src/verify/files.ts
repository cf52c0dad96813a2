import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import {
  type Device,
  readSafetensors,
  type SafetensorsFile,
  Tensor,
  toFloat32,
  toInt32,
} from "@wgrad/tensor";
import { CommandError } from "../errors.js";

/** Parses a JSON file of a set of reference cases. @throws CommandError naming the file */
export async function readCases<T>(path: string): Promise<T> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as T;
  } catch (cause) {
    throw new CommandError(
      "E_FIXTURES",
      `${path}: no reference cases could be read (${(cause as Error).message}).`,
      { cause },
    );
  }
}

/** Stored tensors of a set of reference cases. */
export class StoredTensors {
  readonly #file: SafetensorsFile;

  private constructor(file: SafetensorsFile) {
    this.#file = file;
  }

  static async open(path: string): Promise<StoredTensors> {
    return new StoredTensors(readSafetensors(await readFile(path), { file: path }));
  }

  get names(): string[] {
    return [...this.#file.tensors.keys()];
  }

  has(name: string): boolean {
    return this.#file.tensors.has(name);
  }

  shape(name: string): readonly number[] {
    return this.#file.get(name).shape;
  }

  floats(name: string): Float32Array {
    return toFloat32(this.#file.get(name));
  }

  ints(name: string): Int32Array {
    return toInt32(this.#file.get(name));
  }

  /** On a device: f32 of floats, i32 of integers. */
  tensor(device: Device, name: string): Tensor {
    const floats = /F/.test(this.#file.get(name).dtype);
    return Tensor.from(device, floats ? this.floats(name) : this.ints(name), this.shape(name));
  }
}

/**
 * The folder of a checkpoint that cases name, such as `minilm-distilbert`: in `checkpoints/` under WGRAD_SHARED, else beside the
 * folder of the cases. Undefined if there is none.
 */
export function checkpointFolder(name: string, fixtures: string): string | undefined {
  const shared = process.env.WGRAD_SHARED;
  const places = [...(shared ? [shared] : []), dirname(resolve(fixtures))];
  return places.map((place) => join(place, "checkpoints", name)).find((folder) => existsSync(folder));
}
