import type { TrainerCallback } from "../callbacks.js";
import { TrainerError } from "../errors.js";
import { JsonLinesCallback } from "./json-lines.js";
import { PrinterCallback } from "./printer.js";
import { TensorBoardCallback } from "./tensorboard.js";
import { isWandbAvailable, WandbCallback } from "./wandb.js";

type Logger = new () => TrainerCallback;

/** Loggers by the names that `reportTo` takes. */
const LOGGERS: Readonly<Record<string, Logger>> = {
  console: PrinterCallback,
  jsonl: JsonLinesCallback,
  tensorboard: TensorBoardCallback,
  wandb: WandbCallback,
};

/** Names that `reportTo` takes. */
export const LOGGER_NAMES: readonly string[] = [...Object.keys(LOGGERS), "all", "none"];

/**
 * The loggers that `reportTo` names, as `transformers.integrations.get_reporting_integration_callbacks`: `console`, `jsonl`,
 * `tensorboard`, `wandb`; `all` is every one that can be had (`wandb` where its SDK is installed), `none` is none.
 * @param given callbacks that there are already: no second logger of the same kind is made
 * @throws TrainerError `E_ARG_VALUE` for a name that there is none of
 */
export function getReportingCallbacks(
  reportTo: readonly string[],
  given: readonly TrainerCallback[] = [],
): TrainerCallback[] {
  const wanted = new Set<Logger>();
  for (const name of reportTo) {
    if (name === "none") continue;
    if (name === "all") {
      for (const logger of Object.values(LOGGERS))
        if (logger !== WandbCallback || isWandbAvailable()) wanted.add(logger);
      continue;
    }
    const logger = LOGGERS[name];
    if (!logger) {
      throw new TrainerError(
        "E_ARG_VALUE",
        `reportTo: there is no logger "${name}". There are: ${LOGGER_NAMES.join(", ")}.`,
      );
    }
    wanted.add(logger);
  }
  return [...wanted]
    .filter((logger) => !given.some((callback) => callback instanceof logger))
    .map((logger) => new logger());
}
