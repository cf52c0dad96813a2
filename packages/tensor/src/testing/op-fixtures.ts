/**
 * PyTorch's values for single operations, for tests in Node. They are not part of the repository: tests look for them in
 * the folder that the environment variable `WGRAD_SHARED` names, else in `../shared` beside the repository, and are skipped
 * where they are missing.
 * @module
 */
import { existsSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import type { Device } from "../device/device.js";
import { readSafetensors, toFloat32, toInt32 } from "../io/index.js";
import type { Shape } from "../shape.js";
import { Tensor } from "../tensor.js";
import { expectClose } from "./compare.js";

/** One case of an operation. `Attributes` is the form that its entry in `index.json` has. */
export interface OpFixture<Attributes> {
  readonly name: string;
  readonly attrs: Attributes;
  readonly inputs: Readonly<Record<string, { readonly shape: Shape; readonly dtype: string }>>;
  readonly grads?: readonly string[];
  readonly tol: Readonly<Record<string, { readonly rtol: number; readonly atol: number }>>;
}

const folder = resolve(
  process.env.WGRAD_SHARED ?? resolve(import.meta.dirname, "../../../../../shared"),
  "fixtures/ops",
);

/** True if the reference values are not on this machine. */
export const fixturesMissing = !existsSync(resolve(folder, "index.json"));

/** The cases of an operation; none if the values are missing. */
export function opFixtures<Attributes>(op: string): OpFixture<Attributes>[] {
  if (fixturesMissing) return [];
  return JSON.parse(readFileSync(resolve(folder, "index.json"), "utf8")).ops[op].cases;
}

/** Runs one case forward and backward and compares every value within the tolerance that comes with it. */
export async function checkFixture<Attributes>(
  device: Device,
  op: string,
  fixture: OpFixture<Attributes>,
  run: (inputs: Readonly<Record<string, Tensor>>, attributes: Attributes) => Tensor,
): Promise<void> {
  const file = readSafetensors(readFileSync(resolve(folder, `${op}.safetensors`)));
  const stored = (name: string) => file.get(`${fixture.name}.${name}`);
  const inputs: Record<string, Tensor> = {};
  for (const [name, { shape, dtype }] of Object.entries(fixture.inputs)) {
    const view = stored(`in.${name}`);
    inputs[name] =
      dtype === "bool"
        ? Tensor.from(device, Uint8Array.from(view.bytes), shape)
        : dtype === "int32"
          ? Tensor.from(device, toInt32(view), shape)
          : Tensor.from(device, toFloat32(view), shape, {
              requiresGrad: fixture.grads?.includes(name) ?? false,
            });
  }
  const compare = async (got: Tensor, name: string) =>
    expectClose(
      await got.toArray(),
      toFloat32(stored(name)),
      fixture.tol[name]!,
      `${op} ${fixture.name}: ${name}`,
    );
  const y = run(inputs, fixture.attrs);
  await compare(y, "out");
  if (fixture.grads) {
    const gradient = Tensor.from(device, toFloat32(stored("grad_out")), y.shape);
    y.backward({ gradient });
    gradient.dispose();
    for (const name of fixture.grads) await compare(inputs[name]!.grad!, `grad.${name}`);
  }
  for (const tensor of [y, ...Object.values(inputs)]) tensor.dispose();
}
