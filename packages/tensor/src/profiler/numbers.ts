/** Numbers as a report shows them: three digits that count, and a unit. */

const PREFIXES = [
  [1e15, "P"],
  [1e12, "T"],
  [1e9, "G"],
  [1e6, "M"],
  [1e3, "k"],
  [1, ""],
] as const;

/** Three significant digits without an exponent: `0.123`, `4.56`, `78.9`, `1230`. */
export function digits(value: number): string {
  if (value === 0) return "0";
  const rounded = Number(value.toPrecision(3));
  const whole = Math.floor(Math.log10(Math.abs(rounded)));
  if (whole < -6) return value.toExponential(1);
  return rounded.toFixed(Math.max(0, 2 - whole));
}

/** `12.3 GFLOP`: a decimal prefix and a unit. */
export function scaled(value: number, unit: string): string {
  const [factor, prefix] = PREFIXES.find(([least]) => Math.abs(value) >= least * 0.9995) ?? [1, ""];
  return `${digits(value / factor)} ${prefix}${unit}`;
}

/** `1.23 s`, `45.6 ms`, `7.89 µs` */
export function formatTime(seconds: number): string {
  if (seconds === 0) return "0 ms";
  if (seconds >= 0.9995) return `${digits(seconds)} s`;
  if (seconds >= 0.9995e-3) return `${digits(seconds * 1e3)} ms`;
  return `${digits(seconds * 1e6)} µs`;
}

/** `45.6 %`; a dash for null. */
export function formatShare(share: number | null): string {
  if (share === null) return "–";
  const percent = share * 100;
  return `${percent >= 99.95 ? Math.round(percent) : percent.toFixed(percent < 0.095 && percent > 0 ? 2 : 1)} %`;
}

/** A count that may be a mean: `250`, `12.5`. */
export function formatCount(count: number): string {
  return Number.isInteger(Math.round(count * 1e6) / 1e6) ? String(Math.round(count)) : count.toFixed(1);
}
