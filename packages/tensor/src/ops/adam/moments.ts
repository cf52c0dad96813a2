import { noGrad } from "../../autograd/modes.js";
import { setUp } from "../../device/recording.js";
import { ShapeError } from "../../errors.js";
import { contiguousStrides } from "../../shape.js";
import { Tensor } from "../../tensor.js";
import { writeInto } from "../views/index.js";

/** How moments lie: those of all parameters one after the other in as few buffers as the adapter's limit allows, or each in its own. */
export type Layout = "flat" | "apart";

/** A parameter, and the record that holds its moments `exp_avg` and `exp_avg_sq` (from the first step on). */
export interface MomentOwner {
  readonly parameter: Tensor;
  readonly state: Record<string, Tensor | number>;
}

const paddedTo4 = (count: number) => Math.ceil(count / 4) * 4;

/** True if the second moment lies right behind the first. */
export function isFlat(expAvg: Tensor, expAvgSq: Tensor): boolean {
  return expAvg.storage === expAvgSq.storage && expAvgSq.offset === expAvg.offset + paddedTo4(expAvg.numel);
}

/** The moments of a parameter, if they are there. */
function momentsOf({ state }: MomentOwner): [Tensor, Tensor] | null {
  const { exp_avg: first, exp_avg_sq: second } = state;
  return first instanceof Tensor && second instanceof Tensor ? [first, second] : null;
}

/**
 * Sees to it that every parameter has moments, zero at first, in a layout; those that lie otherwise (loaded from a checkpoint,
 * or made for another kernel) move. A parameter whose moments exceed a binding together keeps them apart in any case. All
 * of it happens once, outside of a captured step.
 */
export function arrangeMoments(owners: readonly MomentOwner[], layout: Layout): void {
  const { device } = owners[0]!.parameter;
  const { maxStorageBufferBindingSize, maxBufferSize } = device.limits;
  const capacity = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 16) * 4;
  const size = ({ parameter }: MomentOwner) => 2 * paddedTo4(parameter.numel);
  const wantsFlat = (owner: MomentOwner) => layout === "flat" && size(owner) <= capacity;
  const settled = (owner: MomentOwner) => {
    const moments = momentsOf(owner);
    if (!moments) return false;
    if (wantsFlat(owner)) return isFlat(...moments);
    return moments.every((tensor) => tensor.isContiguous && tensor.offset === 0) && !isFlat(...moments);
  };
  const moving = owners.filter((owner) => !settled(owner));
  if (moving.length === 0) return;
  setUp(() =>
    noGrad(() => {
      for (const owner of moving.filter((o) => !wantsFlat(o))) {
        const { parameter } = owner;
        settle(owner, Tensor.zeros(device, parameter.shape), Tensor.zeros(device, parameter.shape));
      }
      let chunk: MomentOwner[] = [];
      let filled = 0;
      const place = () => {
        const memory = Tensor.zeros(device, [filled]);
        let at = 0;
        for (const owner of chunk) {
          const { shape } = owner.parameter;
          const view = (offset: number) =>
            new Tensor(memory.storage, shape, contiguousStrides(shape), offset, "f32");
          settle(owner, view(at), view(at + size(owner) / 2));
          at += size(owner);
        }
        memory.dispose();
      };
      for (const owner of moving.filter(wantsFlat)) {
        if (filled + size(owner) > capacity) {
          place();
          chunk = [];
          filled = 0;
        }
        chunk.push(owner);
        filled += size(owner);
      }
      if (chunk.length > 0) place();
    }),
  );
}

/** Puts new moments in the place of the old ones, with their values. */
function settle(owner: MomentOwner, expAvg: Tensor, expAvgSq: Tensor): void {
  const { state } = owner;
  for (const [name, made] of Object.entries({ exp_avg: expAvg, exp_avg_sq: expAvgSq })) {
    const before = state[name];
    if (before instanceof Tensor) {
      if (before.numel !== made.numel) {
        throw new ShapeError(
          `optimizer: state ${name} has ${before.numel} elements, its parameter ${owner.parameter.toString()}.`,
        );
      }
      writeInto(made, before);
      before.dispose();
    }
    state[name] = made.keep();
  }
}
