import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { AutoTokenizer } from "@wgrad/models/node";
import { runTokenizerCases } from "@wgrad/models/tokenizer";
import { type ReportRow, skippedRow } from "./compare.js";
import { checkpointFolder, readCases } from "./files.js";

/** Ids, masks and decoded texts of the tokenizers, which must be equal. */
export async function verifyTokenizers(
  folder: string,
  fixtures: string,
  onRow: (row: ReportRow) => void,
): Promise<void> {
  for (const file of (await readdir(folder)).filter((name) => name.endsWith(".json")).sort()) {
    const cases = await readCases<Record<string, unknown>>(join(folder, file));
    const named = /checkpoints\/([\w.-]+)/.exec(String(cases.tokenizer ?? ""))?.[1];
    const count = Object.values(cases).reduce<number>(
      (sum, group) => sum + (Array.isArray(group) ? group.length : 0),
      0,
    );
    const place = named === undefined ? undefined : checkpointFolder(named, fixtures);
    if (place === undefined) {
      onRow(
        skippedRow(
          "tokenizer",
          file,
          count,
          `checkpoints/${named ?? "?"} is not there (WGRAD_SHARED, or beside the cases)`,
        ),
      );
      continue;
    }
    const tokenizer = await AutoTokenizer.fromPretrained(place);
    for (const { group, passed, failed, failures } of runTokenizerCases(tokenizer, cases)) {
      onRow({
        set: "tokenizer",
        name: `${file.replace(/\.json$/, "")} ${group}`,
        passed,
        failed,
        skipped: 0,
        largestError: 0,
        largestErrorAt: null,
        messages: failures.map(
          (f) => `${group} ${f.index} ${f.field}: ${f.got}, expected ${f.want} (input ${f.input})`,
        ),
      });
    }
  }
}
