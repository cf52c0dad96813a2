import type { Command, Dispatch } from "../device/commands.js";
import type { PooledBuffer } from "../device/pool.js";
import type { GuardKind, Recorder } from "../device/recording.js";
import { CaptureError } from "../errors.js";

/** Memory that the step takes and gives back: it stands for whatever buffer the plan will put there. */
export interface Temporary {
  readonly bytes: number;
  /** Index of the first and the last command that uses it; -1 for none. */
  first: number;
  last: number;
  /** Whether its holder let go of it before the step ended. */
  released: boolean;
}

/** What a command is bound to: the step's own memory, or a buffer that was there before. */
export type Binding = Temporary | PooledBuffer;

/** True for memory of the step's own. */
export const isTemporary = (binding: Binding): binding is Temporary => "released" in binding;

/** A command with its bindings. */
export interface RecordedCommand {
  readonly command: Command;
  readonly bindings: readonly Binding[];
}

/** What is done again at each replay, in the order of the recording. */
export type Update = { readonly effect: () => void } | { readonly live: Dispatch };

/** Takes notes of everything that a step enqueues: see `Recorder`. */
export class StepRecorder implements Recorder {
  readonly commands: RecordedCommand[] = [];
  readonly updates: Update[] = [];
  readonly temporaries: Temporary[] = [];
  readonly #guards = new Map<GuardKind, Map<object, () => boolean>>();
  readonly #current = new Map<PooledBuffer, Temporary>();

  command(command: Command): void {
    const index = this.commands.length;
    const buffers = command.kind === "clear" ? [command.buffer] : command.buffers;
    const bindings = buffers.map((buffer) => this.bindingOf(buffer));
    for (const binding of bindings) {
      if (!isTemporary(binding)) continue;
      if (binding.first < 0) binding.first = index;
      binding.last = index;
    }
    this.commands.push({ command, bindings });
    if (command.kind === "dispatch" && command.params.some((p) => typeof p === "object" && "live" in p)) {
      this.updates.push({ live: command });
    }
  }

  acquired(buffer: PooledBuffer): void {
    const made: Temporary = { bytes: buffer.requested, first: -1, last: -1, released: false };
    this.#current.set(buffer, made);
    this.temporaries.push(made);
  }

  lasting(buffer: PooledBuffer): void {
    this.#current.delete(buffer);
  }

  released(buffer: PooledBuffer): void {
    const temporary = this.#current.get(buffer);
    if (temporary) temporary.released = true;
  }

  effect(run: () => void): void {
    this.updates.push({ effect: run });
  }

  guard(kind: GuardKind, subject: object, holds: () => boolean): void {
    const known = this.#guards.get(kind) ?? new Map<object, () => boolean>();
    this.#guards.set(kind, known);
    if (!known.has(subject)) known.set(subject, holds);
  }

  refuse(what: string): void {
    throw new CaptureError(`capture: the step cannot be replayed, because ${what}.`);
  }

  /** What a buffer is at this point of the recording. */
  bindingOf(buffer: PooledBuffer): Binding {
    return this.#current.get(buffer) ?? buffer;
  }

  /** All conditions under which the recording may be replayed. */
  guards(): (() => boolean)[] {
    return [...this.#guards.values()].flatMap((known) => [...known.values()]);
  }

  /** What the guards of a kind watch. */
  subjects(kind: GuardKind): object[] {
    return [...(this.#guards.get(kind)?.keys() ?? [])];
  }
}
