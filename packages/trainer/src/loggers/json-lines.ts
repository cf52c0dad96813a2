import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "@wgrad/models/node";
import type { CallbackContext, LogEntry, TrainerCallback } from "../callbacks.js";

/**
 * Writes every log entry as a line of JSON to `log.jsonl` in the output folder. When a run goes on after a checkpoint, the file is
 * first put back to what that checkpoint knows: no entry stands there twice.
 */
export class JsonLinesCallback implements TrainerCallback {
  readonly #name: string;
  readonly #head: string;

  /**
   * @param options.fileName default `log.jsonl`
   * @param options.remarks a first line of the file that is no log entry, such as which kernels are the user's own
   */
  constructor(options: { fileName?: string; remarks?: Readonly<Record<string, unknown>> } = {}) {
    this.#name = options.fileName ?? "log.jsonl";
    const { remarks = {} } = options;
    this.#head = Object.keys(remarks).length > 0 ? lineOf(remarks) : "";
  }

  async onTrainBegin({ args, state }: CallbackContext): Promise<void> {
    await mkdir(args.outputDir, { recursive: true });
    await writeFileAtomic(
      join(args.outputDir, this.#name),
      this.#head + state.logHistory.map(lineOf).join(""),
    );
  }

  async onLog({ args, logs }: CallbackContext & { logs: LogEntry }): Promise<void> {
    await mkdir(args.outputDir, { recursive: true });
    await appendFile(join(args.outputDir, this.#name), lineOf(logs));
  }
}

function lineOf(entry: object): string {
  return `${JSON.stringify(entry)}\n`;
}
