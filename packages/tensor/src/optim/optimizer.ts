import { dropGradient } from "../autograd/graph.js";
import { noGrad, scope } from "../autograd/modes.js";
import { ShapeError, ValueError } from "../errors.js";
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

/** Base of the optimizers, as `torch.optim.Optimizer`. */
export abstract class Optimizer<Options extends { lr: number | null }> {
  /** Groups with every option filled in. A scheduler changes `lr` here. */
  readonly paramGroups: ({ params: Tensor[] } & Options)[];
  protected readonly state = new Map<Tensor, ParameterState>();

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

  /** Changes every parameter that has a gradient. Enqueues work; waits for nothing. */
  step(): void {
    noGrad(() =>
      scope(() => {
        for (const group of this.paramGroups) {
          const params = group.params.filter((p) => p.grad);
          if (params.length > 0) this.update(params, group);
        }
      }),
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

  /** Takes over a state that `stateDict` gave; tensors are copied. */
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

  /** Changes the given parameters of one group, all of which have gradients. */
  protected abstract update(params: readonly Tensor[], group: Options): void;

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
    const made = Tensor.zeros(parameter.device, shape).keep();
    state[name] = made;
    return made;
  }

  /** Counts a step of a parameter and returns its number, from 1 on. */
  protected countStep(parameter: Tensor): number {
    const state = this.stateOf(parameter);
    const step = ((state.step as number | undefined) ?? 0) + 1;
    state.step = step;
    return step;
  }

  #disposeState(): void {
    for (const state of this.state.values()) {
      for (const value of Object.values(state)) if (value instanceof Tensor) value.dispose();
    }
    this.state.clear();
  }
}
