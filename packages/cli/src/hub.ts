import type { ResolveOptions } from "@wgrad/models/node";
import { formatBytes, formatSeconds, type Ui } from "./ui.js";

/** Time between two lines where there is no live one, in milliseconds. */
const INTERVAL = 15_000;

/** How the hub is asked: with progress and waits shown, and not at all with `--offline` (or `HF_HUB_OFFLINE`). */
export function hubOptions(offline: boolean | undefined, ui: Ui): ResolveOptions {
  let file = "";
  let drawn = 0;
  return {
    ...(offline ? { offline: true } : {}),
    onProgress: (p) => {
      const now = performance.now();
      const text = `Downloading ${p.file} (${p.index} of ${p.count}): ${formatBytes(p.loaded)} of ${formatBytes(p.total)}`;
      const isDone = p.loaded === p.total;
      if (ui.live) {
        if (isDone && p.index === p.count) ui.done();
        else ui.status(text);
      } else if (p.file !== file || isDone || now - drawn > INTERVAL) {
        // A small file comes in one piece, which is worth one line.
        ui.note(text);
        drawn = now;
      }
      file = p.file;
    },
    onRetry: (reason, seconds) => {
      if (seconds >= 1) ui.note(`${reason}; trying again in ${formatSeconds(seconds)}`);
    },
  };
}
