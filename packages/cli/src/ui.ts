/** Where output goes: results to stdout, progress to stderr, a live line on a terminal and whole lines elsewhere. */

/** How a verb talks to its user. */
export class Ui {
  /** One JSON document on stdout in place of text. */
  readonly json: boolean;
  /** Whether stderr is a terminal on which a line may be redrawn. Decided once. */
  readonly live: boolean;
  #onInterrupt: (() => void) | null = null;
  #line = "";

  constructor(options: { json?: boolean; live?: boolean } = {}) {
    this.json = options.json ?? false;
    this.live =
      options.live ?? (Boolean(process.stderr.isTTY) && !process.env.CI && process.env.TERM !== "dumb");
  }

  /** A part of the result for people; nothing with `--json`. */
  result(text: string): void {
    if (this.json) return;
    this.clear();
    process.stdout.write(`${text}\n`);
    this.#redraw();
  }

  /** The result for programs; nothing without `--json`. */
  document(value: unknown): void {
    if (this.json) process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  }

  /** A whole line of progress or a remark, on stderr. */
  note(text: string): void {
    this.clear();
    process.stderr.write(`${text}\n`);
    this.#redraw();
  }

  /** Replaces the live line; nothing where there is none. */
  status(text: string): void {
    if (!this.live) return;
    const width = process.stderr.columns || 80;
    this.#line = text.length >= width ? text.slice(0, width - 1) : text;
    this.#redraw();
  }

  /** Takes the live line away. */
  clear(): void {
    if (this.live && this.#line) process.stderr.write("\r\x1b[2K");
  }

  /** Ends the live line. */
  done(): void {
    this.clear();
    this.#line = "";
  }

  /** Progress of something that is counted. */
  progress(label: string, total: number): Progress {
    return new Progress(this, label, total);
  }

  /** Sets what Ctrl-C does; null gives the default back, which is to leave at once. */
  onInterrupt(action: (() => void) | null): void {
    this.#onInterrupt = action;
  }

  /** Called for SIGINT and SIGTERM. @returns false if nobody handles it */
  interrupt(): boolean {
    if (!this.#onInterrupt) return false;
    this.#onInterrupt();
    return true;
  }

  #redraw(): void {
    if (this.live && this.#line) process.stderr.write(`\r\x1b[2K${this.#line}`);
  }
}

/** Least time between two drawings of a live line, and between two plain lines, in milliseconds. */
const LIVE_INTERVAL = 80;
const PLAIN_INTERVAL = 15_000;

/** A bar on a terminal; elsewhere a line now and then, and none for what is quickly done. */
export class Progress {
  readonly #ui: Ui;
  readonly #label: string;
  readonly #total: number;
  readonly #began = performance.now();
  #drawn = performance.now();

  constructor(ui: Ui, label: string, total: number) {
    this.#ui = ui;
    this.#label = label;
    this.#total = total;
  }

  /** @param detail what stands behind the numbers */
  update(count: number, detail = ""): void {
    const now = performance.now();
    const last = count >= this.#total;
    if (now - this.#drawn < (this.#ui.live ? LIVE_INTERVAL : PLAIN_INTERVAL) && !(last && this.#ui.live))
      return;
    this.#drawn = now;
    const left =
      count > 0 && !last
        ? ` ${formatSeconds(((now - this.#began) / count / 1000) * (this.#total - count))} left`
        : "";
    const tail = `${count}/${this.#total}${left}${detail ? `  ${detail}` : ""}`;
    if (this.#ui.live) this.#ui.status(`${this.#label} ${bar(count / this.#total)} ${tail}`);
    else this.#ui.note(`${this.#label} ${tail}`);
  }

  /** Ends it; the line goes away. */
  finish(): void {
    this.#ui.done();
  }
}

/** A bar of 24 characters for a share from 0 to 1. */
export function bar(share: number, width = 24): string {
  const full = Math.round(Math.max(0, Math.min(1, share)) * width);
  return "█".repeat(full) + "░".repeat(width - full);
}

/** `85 ms`, `42 s`, `7 min`, `3.5 h` */
export function formatSeconds(seconds: number): string {
  if (!Number.isFinite(seconds)) return "?";
  if (seconds < 0.95) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 100) return `${Math.round(seconds)} s`;
  if (seconds < 6000) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

/** `12.3 MB`; decimal units. */
export function formatBytes(bytes: number): string {
  if (bytes < 1e3) return `${bytes} B`;
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  if (bytes < 1e9) return `${(bytes / 1e6).toFixed(1)} MB`;
  return `${(bytes / 1e9).toFixed(2)} GB`;
}

/** `66,955,010` */
export function formatCount(value: number): string {
  return value.toLocaleString("en-US");
}
