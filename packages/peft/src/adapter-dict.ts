/** What a layer holds for each of its adapters, under the adapter's name. */
import { Module, type Parameter } from "@wgrad/tensor";

/** Modules by the name of their adapter, as `torch.nn.ModuleDict`: `lora_A.default.weight`. */
export class ModuleDict<M extends Module = Module> extends Module {
  readonly #modules = new Map<string, M>();

  get(adapter: string): M | undefined {
    return this.#modules.get(adapter);
  }

  set(adapter: string, module: M): void {
    this.#modules.set(adapter, module);
  }

  /** Frees the module of an adapter, if there is one. */
  remove(adapter: string): void {
    this.#modules.get(adapter)?.dispose();
    this.#modules.delete(adapter);
  }

  override namedChildren(): [string, Module][] {
    return [...this.#modules];
  }
}

/** Parameters by the name of their adapter, as `torch.nn.ParameterDict`: `ia3_l.default`. */
export class ParameterDict extends Module {
  get(adapter: string): Parameter | undefined {
    return Object.hasOwn(this, adapter) ? (Reflect.get(this, adapter) as Parameter) : undefined;
  }

  /** The name must not be that of one of a module's own properties: `checkAdapterName` sees to it. */
  set(adapter: string, parameter: Parameter): void {
    Reflect.set(this, adapter, parameter);
  }

  /** Frees the parameter of an adapter, if there is one. */
  remove(adapter: string): void {
    this.get(adapter)?.dispose();
    Reflect.deleteProperty(this, adapter);
  }
}
