import { bar } from "../ui.js";

/** What lengths are like. */
export interface LengthStatistics {
  count: number;
  min: number;
  max: number;
  mean: number;
  /** As `numpy.percentile`: between two values where there is none in the middle. */
  median: number;
  /** 95 of 100 are at most this long. */
  p95: number;
  p99: number;
}

/** @param values at least one */
export function lengthStatistics(values: readonly number[]): LengthStatistics {
  const sorted = [...values].sort((a, b) => a - b);
  const at = (share: number) => {
    const place = share * (sorted.length - 1);
    const below = sorted[Math.floor(place)]!;
    return below + (place % 1) * (sorted[Math.ceil(place)]! - below);
  };
  return {
    count: sorted.length,
    min: sorted[0]!,
    max: sorted.at(-1)!,
    mean: sorted.reduce((a, b) => a + b, 0) / sorted.length,
    median: at(0.5),
    p95: at(0.95),
    p99: at(0.99),
  };
}

/** `min 4, median 110, mean 113.9, 95% ≤ 209, max 267` */
export function formatStatistics(s: LengthStatistics): string {
  return `min ${s.min}, median ${formatLength(s.median)}, mean ${s.mean.toFixed(1)}, 95% ≤ ${formatLength(s.p95)}, max ${s.max}`;
}

/** A length or what lies between two: `22`, `22.5` */
export function formatLength(value: number): string {
  return Number.isInteger(value) ? String(value) : value.toFixed(1);
}

/** Lines of a histogram over equal ranges of whole numbers. */
export function histogram(values: readonly number[], ranges = 8): string[] {
  const min = Math.min(...values);
  const max = Math.max(...values);
  const width = Math.max(1, Math.ceil((max - min + 1) / ranges));
  const counts = new Array<number>(Math.ceil((max - min + 1) / width)).fill(0);
  for (const value of values) counts[Math.floor((value - min) / width)]!++;
  const most = Math.max(...counts);
  const digits = String(max).length;
  return counts.map((count, i) => {
    const from = min + i * width;
    const to = Math.min(max, from + width - 1);
    return `${String(from).padStart(digits)}–${String(to).padStart(digits)} ${bar(count / most, 30)} ${count}`;
  });
}
