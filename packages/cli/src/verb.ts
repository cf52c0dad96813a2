import type { Command } from "commander";
import type { Ui } from "./ui.js";

/** A verb of the command line: its module is loaded only when it is used. */
export interface Verb {
  /** Adds arguments, options and examples, and says what to do. */
  define(command: Command, context: VerbContext): void | Promise<void>;
}

/** What a verb gets beside its arguments. */
export interface VerbContext {
  /** Words of the command line behind the verb that are no flags. */
  readonly words: readonly string[];
  /** Made once the options are known, because `--json` is one of them. */
  ui(options: { json?: boolean }): Ui;
  /** Says with which exit code the program ends; 0 if nobody does. */
  exit(code: number): void;
}

/** Lines of examples below the options of `--help`. */
export function examples(lines: readonly (readonly [command: string, what: string])[]): string {
  const width = Math.max(...lines.map(([command]) => command.length));
  return `\nExamples:\n${lines.map(([command, what]) => `  ${command.padEnd(width)}  ${what}`).join("\n")}\n`;
}
