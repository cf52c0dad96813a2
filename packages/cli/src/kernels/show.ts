import { type Device, noGrad, scope } from "@wgrad/tensor";
import { candidates, type LabEntry } from "@wgrad/tensor/lab";
import { CommandError } from "../errors.js";

/** One dispatch as the adapter gets it. */
export interface ShownDispatch {
  readonly kernel: string;
  readonly grid: readonly number[];
  /** Words of the `Params` struct; floats as numbers. */
  readonly params: readonly number[];
  /** What the text was specialised with. */
  readonly constants: Readonly<Record<string, number | boolean>>;
  readonly types: Readonly<Record<string, string>>;
  readonly bytes: number;
  readonly flop: number;
  /** The whole WGSL text. */
  readonly code: string;
}

/** The dispatches that an op makes for a shape with the step that is chosen now. */
export async function showDispatches(
  device: Device,
  entry: LabEntry,
  shape: string,
): Promise<ShownDispatch[]> {
  const prepared = entry.workload(shape).prepare(device);
  try {
    const made = device.trace(() => noGrad(() => scope(() => void prepared.run())));
    await device.synchronize();
    return made.map(({ kernel, grid, params, specialisation, cost, pipeline }) => ({
      kernel: kernel.name,
      grid,
      params: params.map((param) => {
        const value = typeof param === "object" && "live" in param ? param.live() : param;
        return typeof value === "number" ? value : value.f32;
      }),
      constants: specialisation?.constants ?? {},
      types: specialisation?.types ?? {},
      bytes: cost.bytes,
      flop: cost.flop,
      code: pipeline.code,
    }));
  } finally {
    prepared.dispose();
  }
}

/** @throws CommandError if the step does not take the shape: another would be shown in its place */
export function refuseUnfit(device: Device, entry: LabEntry, step: string, shape: string): void {
  const found = candidates(device, entry, entry.workload(shape)).find(({ name }) => name === step);
  if (!found || found.refused === null) return;
  throw new CommandError(
    "E_STEP",
    `${entry.ladder.op}/${step} does not take the shape ${shape}: ${found.refused}.`,
  );
}

/** Text of the dispatches: each program once, with the grid and the parameters of its dispatches before it. */
export function formatDispatches(list: readonly ShownDispatch[]): string {
  const byCode = new Map<string, ShownDispatch[]>();
  for (const one of list) byCode.set(one.code, [...(byCode.get(one.code) ?? []), one]);
  return [...byCode.values()]
    .map((same) => {
      const [first] = same;
      const head = same
        .slice(0, 8)
        .map((one) => `//   grid ${one.grid.join(" x ")}, params ${one.params.join(" ")}`);
      const more = same.length > 8 ? [`//   … and ${same.length - 8} dispatches more`] : [];
      return [`// ---- ${first!.kernel}`, ...head, ...more, first!.code.trimEnd(), ""].join("\n");
    })
    .join("\n");
}
