import type { Setting } from "../training/settings.js";
import type { Ui } from "../ui.js";

/** What a lab gets: the values of its recipe (flags have overridden them), by the camelCase names of its settings. */
export interface LabContext {
  readonly settings: Readonly<Record<string, unknown>>;
  /** Never touch the network. */
  readonly offline: boolean;
  /** Go on from this checkpoint, or from the newest; false to start anew. */
  readonly resume: string | boolean;
  /** Remove what an earlier run left in the output folder. */
  readonly overwrite: boolean;
  readonly ui: Ui;
  /** Says with which exit code the program ends; 0 if nobody does. */
  exit(code: number): void;
}

/** A lab: what `wgrad lab NAME` runs. Its recipe is `recipes/NAME.yaml`, whose keys are its settings in snake_case. */
export interface Lab {
  readonly name: string;
  readonly summary: string;
  /** Keys of its recipe, each also a flag. */
  readonly settings: readonly Setting[];
  /** Lines of examples below the options of `--help`: command and what it is for. */
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** @returns the document that `--json` prints */
  run(context: LabContext): Promise<unknown>;
}

/** Loads a lab's module when it is used, so that help needs no GPU. */
export type LabLoader = () => Promise<Lab>;
