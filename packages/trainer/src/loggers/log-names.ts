import type { LogEntry } from "../callbacks.js";

/**
 * Names of a log entry's numbers as the curves are called, as `transformers.integrations.rewrite_logs`: `eval_loss` → `eval/loss`,
 * `test_accuracy` → `test/accuracy`, everything else below `train/`. The step is left out: it is where the curve stands.
 */
export function rewriteLogs(logs: Readonly<LogEntry>): Record<string, number> {
  return Object.fromEntries(
    Object.entries(logs)
      .filter(([name]) => name !== "step")
      .map(([name, value]) => {
        const split = /^(eval|test)_(.+)$/.exec(name);
        return [split ? `${split[1]}/${split[2]}` : `train/${name}`, value];
      }),
  );
}
