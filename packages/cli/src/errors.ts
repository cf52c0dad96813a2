/** Failures that the command line reports: one message that says what was found and what to do, and an exit code. */

/** A command that cannot be carried out: exit code 1. */
export class CommandError extends Error {
  /** Stable, for programs. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A command line that makes no sense: exit code 2. */
export class UsageError extends CommandError {
  constructor(message: string, options?: ErrorOptions) {
    super("E_USAGE", message, options);
  }
}

/** Exit codes of every verb. */
export const EXIT = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** Trainer arguments out of range and unknown ones are wrong use, whoever finds it. */
const USAGE_CODES = new Set(["E_ARG_UNKNOWN", "E_ARG_VALUE"]);

/** What a failure looks like to the user. */
export interface Failure {
  exitCode: number;
  /** Stable code, `E_UNEXPECTED` for errors that nobody foresaw. */
  code: string;
  /** Fits on a screen; no stack trace. */
  message: string;
}

/** Turns anything thrown into a message and an exit code. */
export function describeFailure(thrown: unknown): Failure {
  const error = thrown instanceof Error ? thrown : new Error(String(thrown));
  const code = (error as { code?: unknown }).code;
  if (typeof code === "string" && /^E_[A-Z_]+$/.test(code)) {
    const exitCode = error instanceof UsageError || USAGE_CODES.has(code) ? EXIT.usage : EXIT.failed;
    return { exitCode, code, message: oneScreen(error.message) };
  }
  if (typeof code === "string" && "syscall" in error) {
    return { exitCode: EXIT.failed, code, message: oneScreen(systemMessage(error as NodeJS.ErrnoException)) };
  }
  return {
    exitCode: EXIT.failed,
    code: "E_UNEXPECTED",
    message: oneScreen(
      `${error.message}\nThis was not foreseen. Set WGRAD_DEBUG=1 to see where it happened.`,
    ),
  };
}

/** Plain words for what the operating system refused. */
function systemMessage(error: NodeJS.ErrnoException): string {
  const place = error.path ?? "a file";
  const words: Record<string, string> = {
    ENOSPC: `${place}: the disk is full. Make room, or write elsewhere with --output-dir.`,
    EDQUOT: `${place}: the disk quota is used up. Make room, or write elsewhere with --output-dir.`,
    EACCES: `${place}: no permission. Use another path, or change its owner.`,
    EROFS: `${place}: the disk is read-only. Write elsewhere with --output-dir.`,
    ENOENT: `${place}: there is no such file or folder.`,
    ENOTDIR: `${place}: a part of this path is a file, not a folder.`,
  };
  return words[error.code ?? ""] ?? error.message;
}

const MAX_LINES = 20;
const MAX_CHARACTERS = 1800;

function oneScreen(message: string): string {
  const lines = message.split("\n");
  const few = lines.length > MAX_LINES ? [...lines.slice(0, MAX_LINES - 1), "…"] : lines;
  const text = few.join("\n");
  return text.length > MAX_CHARACTERS ? `${text.slice(0, MAX_CHARACTERS)} …` : text;
}
