import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { bar, formatBytes, formatSeconds } from "../ui.js";
import { classificationReport, formatClassificationReport } from "./classification-report.js";
import { histogram, lengthStatistics } from "./histogram.js";
import { formatTable } from "./table.js";

/** Written by fixtures/make-classification-report.py. */
const reports = JSON.parse(
  readFileSync(new URL("fixtures/classification-report.json", import.meta.url), "utf8"),
) as { cases: { confusion: number[][]; names: string[]; digits: number; text: string }[] };

describe("classification report", () => {
  it.each(reports.cases)("prints $confusion with $digits digits as scikit-learn does", (wanted) => {
    const report = classificationReport(wanted.confusion, wanted.names);
    expect(`${formatClassificationReport(report, wanted.digits)}\n`).toBe(wanted.text);
  });

  it("gives 0 for a class that is never predicted", () => {
    const { classes, accuracy } = classificationReport(
      [
        [3, 0],
        [1, 0],
      ],
      ["a", "b"],
    );
    expect(classes.b).toEqual({ precision: 0, recall: 0, f1: 0, support: 1 });
    expect(accuracy).toBe(0.75);
  });
});

describe("text", () => {
  it("aligns tables", () => {
    expect(
      formatTable(
        ["name", "n"],
        [
          ["a", "10"],
          ["long", "2"],
        ],
      ),
    ).toBe("name   n\n────  ──\na     10\nlong   2");
  });

  it("tells lengths", () => {
    const figures = { count: 3, min: 1, max: 5, mean: 3, median: 3, p95: 4.8, p99: 4.96 };
    expect(lengthStatistics([5, 1, 3])).toEqual(figures);
    expect(lengthStatistics([2, 1]).median).toBe(1.5);
    const lines = histogram([1, 1, 2, 8], 4);
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^1–2 █{30} 3$/);
    expect(lines[3]).toMatch(/^7–8 █{10}░{20} 1$/);
  });

  it("tells sizes and times", () => {
    expect([formatBytes(12), formatBytes(1500), formatBytes(2.5e6), formatBytes(3.2e9)]).toEqual([
      "12 B",
      "1.5 kB",
      "2.5 MB",
      "3.20 GB",
    ]);
    expect([
      formatSeconds(0.085),
      formatSeconds(1.25),
      formatSeconds(42),
      formatSeconds(300),
      formatSeconds(9000),
    ]).toEqual(["85 ms", "1.3 s", "42 s", "5 min", "2.5 h"]);
    expect(bar(0.5, 4)).toBe("██░░");
  });
});
