import type { CallbackContext, TrainerCallback } from "./callbacks.js";

/** Decides by the arguments when to log, evaluate and save, as `transformers.DefaultFlowCallback`. */
export class DefaultFlowCallback implements TrainerCallback {
  onStepEnd({ args, state, control }: CallbackContext): void {
    const { globalStep } = state;
    const isDelayed = globalStep < args.evalDelay;
    if (globalStep === 1 && args.loggingFirstStep) control.shouldLog = true;
    if (args.loggingStrategy === "steps" && globalStep % state.loggingSteps === 0) control.shouldLog = true;
    if (args.evalStrategy === "steps" && globalStep % state.evalSteps === 0 && !isDelayed)
      control.shouldEvaluate = true;
    if (args.saveStrategy === "steps" && globalStep % state.saveSteps === 0) control.shouldSave = true;
    if (globalStep < state.maxSteps) return;
    control.shouldTrainingStop = true;
    if (args.evalStrategy === "steps" && !isDelayed) control.shouldEvaluate = true;
    if (args.saveStrategy === "steps") control.shouldSave = true;
  }

  onEpochEnd({ args, state, control }: CallbackContext): void {
    if (args.loggingStrategy === "epoch") control.shouldLog = true;
    if (args.evalStrategy === "epoch" && args.evalDelay <= state.epoch) control.shouldEvaluate = true;
    if (args.saveStrategy === "epoch") control.shouldSave = true;
  }
}
