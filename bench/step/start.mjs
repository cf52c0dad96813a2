// Processor time from the start of a process to the end of its first training step, compilation included: with an empty shader
// cache, and again with what the first start left there.
//
//   node bench/step/start.mjs [--size mini|tiny] [--starts 1] [--json file|auto]
//
// Each start is a process of its own that loads 12 M weights from files, builds model and optimizer, compiles every pipeline and
// trains one step of the 6-layer, 384-wide DistilBERT on 16 x 64 tokens. Mesa keeps compiled shaders in a folder (here an empty one,
// by MESA_SHADER_CACHE_DIR); other drivers may keep them elsewhere or not at all.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fail } from "../../scripts/lib/shell.mjs";
import { start } from "../lib/process.mjs";
import { checkTable, short, table, writeJson } from "../lib/report.mjs";
import { writeStepData } from "../lib/step-data.mjs";

const { values: options } = parseArgs({
  options: {
    size: { type: "string", default: "mini" },
    starts: { type: "string", default: "1" },
    json: { type: "string" },
  },
});
const folder = mkdtempSync(join(tmpdir(), "wgrad-bench-"));

try {
  writeStepData(folder, options.size);
  const measured = [];
  let adapter = null;
  for (let i = 0; i < Number(options.starts); i++) {
    const cache = join(folder, `cache-${i}`);
    mkdirSync(cache);
    for (const name of ["first start", "second start"]) {
      const child = start(new URL("start-worker.mjs", import.meta.url), [folder, options.size], {
        MESA_SHADER_CACHE_DIR: cache,
        MESA_SHADER_CACHE_DISABLE: "false",
      });
      try {
        const { adapter: found, ...figures } = await child.ask("run");
        adapter = found;
        measured.push({ name, ...figures });
      } finally {
        child.end();
      }
    }
  }
  const least = (name, key) => Math.min(...measured.filter((m) => m.name === name).map((m) => m[key]));
  const [first, second] = [least("first start", "total"), least("second start", "total")];
  const checks = [
    { what: "CPU seconds of a first start", found: first, atMost: 20 },
    { what: "second start over the first", found: second / first, atMost: 0.5 },
  ];
  console.log(
    `${adapter.description}: start of a training program, DistilBERT ${options.size}, CPU seconds\n`,
  );
  const head = ["", "Node, imports", "model, weights", "first step", "total", "one more step", "pipelines"];
  const seconds = ["imports", "setUp", "firstStep", "total", "nextStep"];
  const rows = measured.map((m) => [m.name, ...seconds.map((key) => short(m[key])), m.pipelines]);
  console.log(`${table(head, rows)}\n`);
  console.log(checkTable(checks));
  writeJson(options.json, "step-start", adapter, { size: options.size, measured, checks });
} catch (failure) {
  fail(failure);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
