import { stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "@wgrad/models/node";
import { comparisonRows } from "../compare/rows.js";
import { UsageError } from "../errors.js";
import { wholeNumber } from "../numbers.js";
import { reportOf } from "../report/data.js";
import { reportPage } from "../report/page.js";
import { readRuns } from "../runs/run-folder.js";
import { formatBytes } from "../ui.js";
import { examples, type Verb } from "../verb.js";

interface Flags {
  json?: boolean;
  output?: string;
  examples: number;
  title?: string;
}

/** `wgrad report`. */
export const report: Verb = {
  define(command, context) {
    command
      .description(
        "Write a page about runs: configuration, curves, confusion matrix, scores by class, worst and best examples, time and memory. It needs nothing else, so it can be sent or handed in.",
      )
      .argument("<runs...>", "output folders of runs, or a folder that holds some; several are also compared")
      .option(
        "-o, --output <file>",
        "where to write it (default: report.html, in the run's folder if there is one run)",
      )
      .option("--examples <n>", "how many of the worst and of the best examples to show", wholeNumber(0), 10)
      .option("--title <text>", "title of the page (default: names of the runs)")
      .addHelpText(
        "after",
        examples([
          ["wgrad report runs/finetune", "writes runs/finetune/report.html"],
          ["wgrad report runs/finetune runs/lora -o both.html", "two runs and their comparison"],
          ["wgrad report runs", "all runs of a folder"],
          ['wgrad report runs/lora --examples 25 --title "Lab 2"', "more examples, and a title"],
        ]),
      )
      .action(async (folders: string[], flags: Flags) => {
        const ui = context.ui({ json: flags.json ?? false });
        const runs = await readRuns(folders);
        const reports = runs.map((run) => reportOf(run, flags.examples));
        const names = runs.map(({ name }) => name);
        const title = flags.title ?? (names.length === 1 ? names[0]! : `${names.length} runs compared`);
        const output =
          flags.output ?? (runs.length === 1 ? join(runs[0]!.folder, "report.html") : "report.html");
        if ((await stat(output).catch(() => undefined))?.isDirectory())
          throw new UsageError(
            `--output ${output}: this is a folder. Give a file, such as ${join(output, "report.html")}.`,
          );
        const page = reportPage(runs, reports, title);
        await writeFileAtomic(output, page);
        ui.result(
          `${output}: open it in a browser (${formatBytes(Buffer.byteLength(page))}, needs no network)`,
        );
        ui.document({ output, title, runs: reports, comparison: comparisonRows(runs) });
      });
  },
};
