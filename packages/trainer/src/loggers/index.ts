import type { TrainerCallback } from "../callbacks.js";
import { TrainerError } from "../errors.js";
import type { TrainingArguments } from "../training-arguments.js";

const LOGGERS: Readonly<Record<string, (args: Readonly<TrainingArguments>) => TrainerCallback>> = {};

/**
 * The loggers that `reportTo` names, as `transformers.integrations.get_reporting_integration_callbacks`.
 * @throws TrainerError `E_ARG_VALUE` for a name that there is none of
 */
export function getReportingCallbacks(
  reportTo: readonly string[],
  args: Readonly<TrainingArguments>,
): TrainerCallback[] {
  return reportTo.map((name) => {
    const make = LOGGERS[name];
    if (make) return make(args);
    throw new TrainerError(
      "E_ARG_VALUE",
      `reportTo: there is no logger "${name}". There are: ${Object.keys(LOGGERS).join(", ") || "none"}.`,
    );
  });
}
