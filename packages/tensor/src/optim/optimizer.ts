import { dropGradient } from "../autograd/graph.js";
import { noGrad, scope } from "../autograd/modes.js";
import { at } from "../device/place.js";
import { currentRecorder, effect, setUp } from "../device/recording.js";
import { DtypeError, ShapeError, ValueError } from "../errors.js";
import { where } from "../ops/elementwise/where.js";
import { Tensor } from "../tensor.js";

/** Parameters that share settings. Options left out take the optimizer's defaults. */
export type ParamGroup<Options> = { params: readonly Tensor[] } & Partial<Options>;

/** State of one parameter: tensors on the device and plain numbers. */
export type ParameterState = Record<string, Tensor | number>;

/** An optimizer's state as plain data: what `torch.optim.Optimizer.state_dict` holds, by index of the parameter. */
export interface OptimizerState {
  tensors: Map<string, Tensor>;
  numbers: Record<string, number>;
}

/** What may be done to gradients and steps on the way, without a pass or a read of its own. */
export interface StepOptions {
  /** A 0-d f32 tensor that every gradient is multiplied by: the coefficient of `gradNorm`, to clip. `.grad` stays as it is. */
  gradScale?: Tensor;
  /** A 0-d f32 tensor: nothing is changed if it is not 0. */
  foundInf?: Tensor;
}

/** A parameter that has a gradient, in a step. */
export interface Ready<Options> {
  readonly parameter: Tensor;
  /** f32, without gaps, alone in its memory. */
  readonly gradient: Tensor;
  readonly group: Options;
  /** Place among the parameters of all groups. */
  readonly index: number;
}

/** Base of the optimizers, as `torch.optim.Optimizer`. */
export abstract class Optimizer<Options extends { lr: number | null }> {
  /**
   * Groups with every option filled in. A scheduler changes `lr` here; a captured step reads it anew at each replay, and is
   * recorded anew when another option changes.
   */
  readonly paramGroups: ({ params: Tensor[] } & Options)[];
  protected readonly state = new Map<Tensor, ParameterState>();
  /** Raised when the state's memory changes other than by steps. */
  #revision = 0;

  /**
   * @param params tensors, or groups of them with options of their own
   * @throws ValueError if there are none, or one appears twice
   */
  constructor(params: Iterable<Tensor> | Iterable<ParamGroup<Options>>, defaults: Options) {
    const list = [...params] as (Tensor | ParamGroup<Options>)[];
    const groups = list.every((p): p is Tensor => p instanceof Tensor)
      ? [{ params: list }]
      : (list as ParamGroup<Options>[]);
    this.paramGroups = groups.map((group) => ({ ...defaults, ...group, params: [...group.params] }));
    const all = this.paramGroups.flatMap((group) => group.params);
    if (all.length === 0) throw new ValueError("optimizer: got no parameters.");
    if (new Set(all).size !== all.length)
      throw new ValueError("optimizer: a parameter appears in two groups.");
  }

  /**
   * Changes every parameter that has a gradient. Enqueues work; waits for nothing.
   * @throws DtypeError for a parameter that is not f32: weights are kept in f32 also where `autocast` computes in f16
   */
  step(options: StepOptions = {}): void {
    noGrad(() =>
      scope(() =>
        at({ phase: "optimizer", op: this.constructor.name.toLowerCase() }, () => {
          if (currentRecorder()) this.#recordAnewIfChanged();
          const ready = this.#ready();
          if (ready.length > 0) this.update(ready, options);
        }),
      ),
    );
  }

  /** Drops all gradients. */
  zeroGrad(): void {
    for (const group of this.paramGroups) {
      for (const p of group.params) dropGradient(p);
    }
  }

  /** All state, for a checkpoint. Names are `<index of the parameter>.<name>`; the tensors are the optimizer's own. */
  stateDict(): OptimizerState {
    const out: OptimizerState = { tensors: new Map(), numbers: {} };
    this.paramGroups
      .flatMap((group) => group.params)
      .forEach((p, i) => {
        for (const [name, value] of Object.entries(this.state.get(p) ?? {})) {
          if (value instanceof Tensor) out.tensors.set(`${i}.${name}`, value);
          else out.numbers[`${i}.${name}`] = value;
        }
      });
    return out;
  }

  /** Takes over a state that `stateDict` gave; tensors are copied. A captured step is recorded anew. */
  loadStateDict(saved: OptimizerState): void {
    this.#disposeState();
    const all = this.paramGroups.flatMap((group) => group.params);
    const entry = (key: string): [ParameterState, string] => {
      const dot = key.indexOf(".");
      const parameter = all[Number(key.slice(0, dot))];
      if (!parameter)
        throw new ValueError(
          `optimizer: the state has an entry ${key}, but there are ${all.length} parameters.`,
        );
      return [this.stateOf(parameter), key.slice(dot + 1)];
    };
    for (const [key, value] of saved.tensors) {
      const [state, name] = entry(key);
      state[name] = noGrad(() => value.clone()).keep();
    }
    for (const [key, value] of Object.entries(saved.numbers)) {
      const [state, name] = entry(key);
      state[name] = value;
    }
  }

  /** Frees the state. The parameters are not touched. */
  dispose(): void {
    this.#disposeState();
  }

  /**
   * Changes the given parameters. By default one after the other with `updateOne`, with what `options` ask for composed from
   * tensor operations; an optimizer whose kernel does all that by itself overrides it.
   */
  protected update(ready: readonly Ready<Options>[], options: StepOptions): void {
    const { gradScale, foundInf } = options;
    const run = () => {
      for (const item of ready) {
        const gradient = gradScale ? item.gradient.mul(gradScale) : item.gradient;
        this.updateOne({ ...item, gradient });
      }
    };
    if (foundInf) this.#keepIf(foundInf.ne(0), ready, run);
    else run();
  }

  /** Changes one parameter. */
  protected abstract updateOne(ready: Ready<Options>): void;

  /** The state of a parameter, empty at first. */
  protected stateOf(parameter: Tensor): ParameterState {
    let state = this.state.get(parameter);
    if (!state) {
      state = {};
      this.state.set(parameter, state);
    }
    return state;
  }

  /** A state tensor, made of zeros on first use. */
  protected stateTensor(parameter: Tensor, name: string, shape = parameter.shape): Tensor {
    const state = this.stateOf(parameter);
    const found = state[name];
    if (found instanceof Tensor) {
      if (found.numel !== shape.reduce((a, b) => a * b, 1)) {
        throw new ShapeError(
          `optimizer: state ${name} has ${found.numel} elements, its parameter ${parameter.toString()}.`,
        );
      }
      return found;
    }
    // Zeroes once, not again whenever a captured step is replayed.
    const made = setUp(() => Tensor.zeros(parameter.device, shape).keep());
    state[name] = made;
    return made;
  }

  /** Counts a step of a parameter, also when a captured step is replayed. Returns a function that tells its number, from 1 on. */
  protected countStep(parameter: Tensor): () => number {
    const current = () => {
      const { step } = this.stateOf(parameter);
      return typeof step === "number" ? step : 0;
    };
    effect(() => {
      this.stateOf(parameter).step = current() + 1;
    });
    return current;
  }

  /** What a captured step takes for granted of a group: all but the learning rate. */
  protected fixedOptions(group: Options): unknown {
    return { ...group, params: undefined, lr: group.lr === null };
  }

  /** Lets a captured step be replayed only while groups, options and the memory of the state are as they are now. */
  #recordAnewIfChanged(): void {
    const now = () =>
      JSON.stringify([
        this.#revision,
        this.paramGroups.map((group) => [group.params.length, this.fixedOptions(group)]),
      ]);
    const before = now();
    currentRecorder()?.guard("optimizer", this, () => now() === before);
  }

  /** Runs `change` and undoes it, on the GPU, where `condition` is true. Numbers in the state go on all the same. */
  #keepIf(condition: Tensor, ready: readonly Ready<Options>[], change: () => void): void {
    const values = () =>
      ready.flatMap(({ parameter }) => [
        parameter,
        ...Object.values(this.stateOf(parameter)).filter((v): v is Tensor => v instanceof Tensor),
      ]);
    const before = new Map(values().map((tensor) => [tensor, tensor.clone()]));
    change();
    for (const tensor of values()) {
      const old = before.get(tensor) ?? Tensor.zeros(tensor.device, tensor.shape);
      tensor.copy_(where(condition, old, tensor));
    }
  }

  /** The parameters that have gradients, those in the form that kernels take. */
  #ready(): Ready<Options>[] {
    const out: Ready<Options>[] = [];
    let index = 0;
    for (const group of this.paramGroups) {
      for (const parameter of group.params) {
        const place = index++;
        if (!parameter.grad) continue;
        if (parameter.dtype !== "f32") {
          throw new DtypeError(
            `optimizer: parameter ${place} is ${parameter.toString()}, but weights must be f32. ` +
              'Keep them in f32 and compute in f16 with autocast("f16", …).',
          );
        }
        if (!parameter.isContiguous || parameter.offset !== 0) {
          throw new ValueError(
            `optimizer: parameter ${place} is a part of another tensor. Give the optimizer the whole tensor, or a clone of the part.`,
          );
        }
        const given = parameter.grad.to("f32");
        const gradient = given.isContiguous && given.offset === 0 ? given : given.clone();
        out.push({ parameter, gradient, group, index: place });
      }
    }
    return out;
  }

  #disposeState(): void {
    this.#revision++;
    for (const state of this.state.values()) {
      for (const value of Object.values(state)) if (value instanceof Tensor) value.dispose();
    }
    this.state.clear();
  }
}
