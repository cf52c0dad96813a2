// Writes the tables of the course from the newest files of bench/results.
//
//   node docs/course/tables.mjs [--check]
//
// A table stands between `<!-- table KIND ARGUMENTS -->` and `<!-- end -->`; below the first comment another one names the files it
// was made from. --check: changes nothing, and ends with 1 if a chapter differs from what would be written. test/course.test.ts does
// the same.
import { readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const folder = dirname(fileURLToPath(import.meta.url));
const results = join(folder, "../../bench/results");
const ADAPTERS = ["llvmpipe", "swiftshader"];
const NAMES = { llvmpipe: "llvmpipe", swiftshader: "SwiftShader" };

/** The newest result of a benchmark on an adapter, or null. */
function newest(bench, adapter) {
  const name = new RegExp(`^${bench}-${adapter}-\\d{4}-\\d{2}-\\d{2}\\.json$`);
  const file = readdirSync(results)
    .filter((each) => name.test(each))
    .sort()
    .at(-1);
  return file ? { file, ...JSON.parse(readFileSync(join(results, file), "utf8")) } : null;
}

/** Three digits that mean something. */
function short(number) {
  if (number === null || number === undefined) return "–";
  if (number === 0) return "0";
  return Math.abs(number) >= 100 ? number.toFixed(0) : number.toPrecision(3).replace(/\.?0+$/, "");
}

const percent = (share) => (share === null || share === undefined ? "–" : `${(100 * share).toFixed(0)}%`);

/** Lines of a table in Markdown. */
function markdown(head, rows) {
  const line = (cells) => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? "---" : "--:"))), ...rows.map(line)].join("\n");
}

/** The steps of one op on one shape, on each adapter. */
function ladder(op, shape) {
  const found = ADAPTERS.map((adapter) => ({ adapter, result: newest("ladders", adapter) })).filter(
    ({ result }) => result,
  );
  if (found.length === 0) return null;
  const groups = found
    .map(({ adapter, result }) => {
      const rows = result.rows.filter((row) => row.op === op && row.shape === shape);
      const least = Math.min(...rows.map(({ ms }) => ms ?? Number.POSITIVE_INFINITY));
      return { adapter, result, rows, least };
    })
    .filter(({ rows }) => rows.some((row) => !row.skipped));
  if (groups.length === 0) {
    const all = found.flatMap(({ result }) => result.rows).filter((row) => row.op === op);
    if (all.length === 0) return null;
    const shapes = [...new Set(all.map((row) => row.shape))];
    throw new Error(`nobody has measured ${op} ${shape}; measured: ${shapes.join("  ")}`);
  }
  const { unit } = groups[0].rows.find((row) => !row.skipped);
  const head = ["step", ...groups.flatMap(({ adapter }) => [`${NAMES[adapter]}, ${unit}/s`, "of peak"])];
  const steps = [...new Set(groups.flatMap(({ rows }) => rows.map(({ step }) => step)))];
  const cells = steps.map((step) => [
    `\`${step}\``,
    ...groups.flatMap(({ rows, least }) => {
      const row = rows.find((each) => each.step === step);
      if (!row || row.skipped) return ["–", ""];
      const rate = `${row.chosen ? "→ " : ""}${short(row.rate)}`;
      return [row.ms === least ? `**${rate}**` : rate, percent(row.share)];
    }),
  ]);
  const ideas = steps.map((step) => {
    const { idea } = groups.flatMap(({ rows }) => rows).find((row) => row.step === step);
    return `- \`${step}\`: ${idea}`;
  });
  return {
    files: groups.map(({ result }) => result.file),
    text: `\`${op}\`, ${shape}:\n\n${markdown(head, cells)}\n\n${ideas.join("\n")}`,
  };
}

/** A table of some figures of each way that a benchmark compares, and what was asked of it. */
function ways(bench, adapters, columns) {
  const found = adapters.map((adapter) => newest(bench, adapter)).filter(Boolean);
  if (found.length === 0) return null;
  const parts = found.map((result) => {
    const all = result.measured ?? result.rows;
    const shown = columns.filter(([, key]) => all.some((each) => each[key] !== undefined));
    const rows = all.map((each) => [each.name, ...shown.map(([, key, write = short]) => write(each[key]))]);
    const asked = (result.checks ?? []).map((check) => {
      const target = check.atLeast === undefined ? `≤ ${short(check.atMost)}` : `≥ ${short(check.atLeast)}`;
      return `- ${check.what}: ${short(check.found)} (asked: ${target})`;
    });
    const where = (result.adapter.description || result.adapter.device).split(/[:(]/)[0];
    return `${where}:\n\n${markdown(["", ...shown.map(([title]) => title)], rows)}\n\n${asked.join("\n")}`;
  });
  return { files: found.map(({ file }) => file), text: parts.join("\n\n") };
}

const CALLS = [
  ["dispatches", "dispatches"],
  ["submissions", "submissions"],
  ["buffers made", "buffers"],
  ["bind groups made", "bindGroups"],
];
const STEP = [["CPU ms", "cpuMs"], ["GFLOP/CPU-s", "gflops"], ["of peak", "shareOfPeak", percent], ...CALLS];
const TIMES = [
  ["CPU ms", "cpu"],
  ["positions computed", "positions"],
  ["of them padding", "padding", percent],
  ["parameters trained", "trained"],
  ["dispatches", "dispatches"],
  ["MiB of activations", "activationBytes", (bytes) => short(bytes / 2 ** 20)],
  ["losses away from the first's", "away"],
];

const mebi = (bytes) => short(bytes / 2 ** 20);
const MEMORY = [
  ["of the optimizer", "stateBytes", mebi],
  ["at the peak, with weights", "peakBytes", mebi],
];

/** What may stand in `<!-- table KIND … -->`: the table, or null where nothing was measured yet. */
const kinds = {
  ladder,
  step: () => ways("peers-step", ADAPTERS, STEP),
  "step-base": () => ways("step-base", ADAPTERS, STEP),
  host: () =>
    ways("host", ["null-backend"], [["CPU ms", "cpuMs"], ["least", "least"], ["most", "most"], ...CALLS]),
  start: () =>
    ways("step-start", ADAPTERS, [
      ["weights, s", "setUp"],
      ["first step, compilation included, s", "firstStep"],
      ["one more step, s", "nextStep"],
      ["CPU s in all", "total"],
    ]),
  fp16: () => ways("step-fp16", ADAPTERS, TIMES),
  checkpoint: () => ways("step-checkpoint", ADAPTERS, TIMES),
  packed: () => ways("step-packed", ADAPTERS, TIMES),
  lora: () => ways("step-lora", ADAPTERS, [...TIMES, ...MEMORY]),
  "lora-base": () => ways("step-lora-base", ADAPTERS, [...TIMES, ...MEMORY]),
};

const TABLE = /<!-- table ([^\n]*?) -->\n[\s\S]*?<!-- end -->/g;

/** A chapter with its tables as they should be. @throws Error for a table that no benchmark has */
export function render(chapter) {
  return chapter.replace(TABLE, (_, command) => {
    const [kind, ...rest] = command.split(" ");
    if (!Object.hasOwn(kinds, kind)) throw new Error(`there is no table ${kind}`);
    const made = kinds[kind](...rest);
    const text = made
      ? `<!-- from ${made.files.map((file) => `bench/results/${file}`).join(", ")} -->\n\n${made.text}`
      : "\n*Not measured yet.*";
    return `<!-- table ${command} -->\n${text}\n\n<!-- end -->`;
  });
}

/** The chapters' files, in order. */
export const chapters = readdirSync(folder)
  .filter((file) => file.endsWith(".md"))
  .sort()
  .map((file) => join(folder, file));

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const file of chapters) {
    const before = readFileSync(file, "utf8");
    const after = render(before);
    if (before === after) continue;
    if (process.argv.includes("--check")) {
      console.error(`${file}: its tables are not those of bench/results. Run node docs/course/tables.mjs`);
      process.exitCode = 1;
    } else {
      writeFileSync(`${file}.part`, after, { flush: true });
      renameSync(`${file}.part`, file);
      console.log(`written: ${file}`);
    }
  }
}
