/** Where a console logger writes. A command line with a live line gives its own. */
export interface ConsoleSink {
  /** Whether there is a line that `status` and `progress` redraw; then no plain lines of progress are written. */
  readonly live: boolean;
  /** A part of the result: on stdout. */
  result(text: string): void;
  /** A line of progress or a remark: on stderr. */
  note(text: string): void;
  /** Replaces the live line; nothing where there is none. */
  status(text: string): void;
  /** Progress of something that is counted. */
  progress(label: string, total: number): ConsoleProgress;
  /** Takes the live line away. */
  done(): void;
}

/** Progress of one thing that is counted. */
export interface ConsoleProgress {
  /** @param detail what stands behind the numbers */
  update(count: number, detail?: string): void;
  finish(): void;
}

/** Least time between two lines of progress, in milliseconds. */
const INTERVAL = 15_000;

/** Plain lines on stdout and stderr, on a terminal as in a file: no escape sequences, nothing redrawn. */
export const plainConsole: ConsoleSink = {
  live: false,
  result: (text) => void process.stdout.write(`${text}\n`),
  note: (text) => void process.stderr.write(`${text}\n`),
  status: () => {},
  progress(label, total) {
    let last = performance.now();
    return {
      update(count, detail = "") {
        if (performance.now() - last < INTERVAL) return;
        last = performance.now();
        plainConsole.note(`${label} ${count}/${total}${detail ? `  ${detail}` : ""}`);
      },
      finish: () => {},
    };
  },
  done: () => {},
};
