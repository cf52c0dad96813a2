/** Comparing numbers with references, and what a row of the table holds. */

/** Allowed: |got - want| <= atol + rtol * |want|. */
export interface Tolerance {
  rtol: number;
  atol: number;
}

/** What became of one case. */
export interface CaseResult {
  name: string;
  outcome: "passed" | "failed" | "skipped";
  /** Largest |got - want|; 0 where nothing was compared. */
  largestError: number;
  /** The result in which it is. */
  largestErrorAt: string | null;
  /** What is wrong, one line each; the reason of a skipped case. */
  messages: string[];
}

/** A row of the table: cases that belong together. */
export interface ReportRow {
  /** `ops`, `optim`, … */
  set: string;
  /** The operation, the optimizer, the model, … */
  name: string;
  passed: number;
  failed: number;
  skipped: number;
  largestError: number;
  largestErrorAt: string | null;
  messages: string[];
}

/** Collects the comparisons of one case. */
export class CaseChecker {
  readonly #name: string;
  readonly #messages: string[] = [];
  #largestError = 0;
  #largestErrorAt: string | null = null;

  constructor(name: string) {
    this.#name = name;
  }

  /**
   * Compares element by element; equal infinities pass, NaN never does.
   * @param leeway of each element, on top of the tolerance
   */
  close(
    what: string,
    got: ArrayLike<number>,
    want: ArrayLike<number>,
    tolerance: Tolerance | undefined,
    leeway?: ArrayLike<number>,
  ): void {
    if (!tolerance) {
      this.fail(`${what}: the reference names no tolerance.`);
      return;
    }
    if (got.length !== want.length) {
      this.fail(`${what}: ${got.length} values, expected ${want.length}.`);
      return;
    }
    let worst = -1;
    let excess = 0;
    for (let i = 0; i < want.length; i++) {
      const g = got[i]!;
      const w = want[i]!;
      if (g === w) continue;
      const error = Math.abs(g - w);
      const over = Number.isFinite(error)
        ? error - (tolerance.atol + tolerance.rtol * Math.abs(w) + (leeway?.[i] ?? 0))
        : Number.POSITIVE_INFINITY;
      const shown = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
      if (shown > this.#largestError) {
        this.#largestError = shown;
        this.#largestErrorAt = what;
      }
      if (over > excess) {
        excess = over;
        worst = i;
      }
    }
    if (worst >= 0) {
      this.fail(
        `${what}: ${got[worst]} at element ${worst}, expected ${want[worst]} (within ${tolerance.atol} + ${tolerance.rtol} * |want|).`,
      );
    }
  }

  /** For values that must be the same. */
  equal(what: string, got: unknown, want: unknown): void {
    if (got !== want) this.fail(`${what}: ${String(got)}, expected ${String(want)}.`);
  }

  fail(message: string): void {
    this.#messages.push(message);
  }

  result(): CaseResult {
    return {
      name: this.#name,
      outcome: this.#messages.length > 0 ? "failed" : "passed",
      largestError: this.#largestError,
      largestErrorAt: this.#largestErrorAt,
      messages: this.#messages,
    };
  }
}

/** Runs a case; an error in it is a failure of the case. */
export async function runCase(
  name: string,
  body: (check: CaseChecker) => void | Promise<void>,
): Promise<CaseResult> {
  const check = new CaseChecker(name);
  try {
    await body(check);
  } catch (error) {
    check.fail(error instanceof Error ? error.message : String(error));
  }
  return check.result();
}

/** Cases that are not run, with the reason. */
export function skippedRow(set: string, name: string, count: number, reason: string): ReportRow {
  return {
    set,
    name,
    passed: 0,
    failed: 0,
    skipped: count,
    largestError: 0,
    largestErrorAt: null,
    messages: [reason],
  };
}

/** One row from its cases. */
export function rowOf(set: string, name: string, cases: readonly CaseResult[]): ReportRow {
  const count = (outcome: CaseResult["outcome"]) => cases.filter((one) => one.outcome === outcome).length;
  const worst = cases.reduce<CaseResult | null>(
    (a, b) => (a && a.largestError >= b.largestError ? a : b),
    null,
  );
  const at = worst?.largestErrorAt;
  return {
    set,
    name,
    passed: count("passed"),
    failed: count("failed"),
    skipped: count("skipped"),
    largestError: worst?.largestError ?? 0,
    largestErrorAt: worst && at ? (cases.length === 1 ? at : `${worst.name} ${at}`) : null,
    messages: cases.flatMap((one) => one.messages.map((message) => `${one.name}: ${message}`)),
  };
}
