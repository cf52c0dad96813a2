// Exact resume: a run is killed with SIGKILL at random moments, also while it saves, goes on from its newest checkpoint each time,
// and at the end is compared bit for bit with a run that nobody killed: weights, moments, random state, data order, log.
//
//   node bench/resume/kill.mjs [--kills 20] [--seed 1] [--json FILE]
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openDevice } from "@wgrad/tensor/node";
import { table, writeJson } from "../lib/report.mjs";
import { differences, lastSaved, leftBehind, leg, sameLog } from "./chain.mjs";

const { values: options } = parseArgs({
  options: {
    kills: { type: "string", default: "20" },
    seed: { type: "string", default: "1" },
    json: { type: "string" },
  },
});
const kills = Number(options.kills);
const saveSteps = 3;
// Enough that a run killed so often does not end before.
const steps = kills * 7;

let state = Number(options.seed);
/** A whole number from 0 to n - 1. Source: Numerical Recipes' linear congruential generator. */
const random = (n) => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * n);
};
const MOMENTS = ["step", "saving", "step", "saving", "saved", "saving", "step", "start"];

const folder = mkdtempSync(join(tmpdir(), "wgrad-kill-"));
const [whole, chain] = [join(folder, "whole"), join(folder, "chain")];
try {
  console.error(`A run of ${steps} steps that nobody kills`);
  await leg([whole, String(steps), String(saveSteps), "keep"], null);
  const rows = [];
  let saved = 0;
  for (let kill = 1; kill <= kills; ) {
    const moment = MOMENTS[random(MOMENTS.length)];
    const trigger = {
      on: moment === "start" ? (saved > 0 ? "resuming" : "starting") : moment,
      count: moment === "start" ? 1 : 1 + random(moment === "step" ? 9 : 2),
      delay: random(moment === "start" ? 400 : 40),
    };
    const { killed, lines } = await leg([chain, String(steps), String(saveSteps)], trigger);
    saved = Math.max(saved, lastSaved(lines));
    if (!killed) break;
    const { steps: found, others } = leftBehind(chain);
    const newest = found.at(-1) ?? 0;
    const differ = newest > 0 ? differences(chain, whole, newest) : [];
    const last = lines.findLast((line) => line.startsWith("step "));
    rows.push({
      kill,
      moment: `${trigger.delay} ms after ${lines.at(-1) ?? "start"}`,
      reached: last ? Number(last.slice(5)) : null,
      saved,
      newest,
      left: others.join(" "),
      differ: differ.join(" "),
      lost: newest < saved,
    });
    console.error(`kill ${kill}: ${rows.at(-1).moment}, newest checkpoint ${newest}`);
    kill++;
  }
  const { lines } = await leg([chain, String(steps), String(saveSteps)], null);
  saved = Math.max(saved, lastSaved(lines));
  const end = differences(chain, whole, steps);
  const log = sameLog(chain, whole);
  console.log(
    table(
      ["kill", "when", "step", "saved", "newest", "left behind", "files that differ"],
      rows.map((r) => [
        r.kill,
        r.moment,
        r.reached ?? "–",
        r.saved,
        r.newest,
        r.left || "–",
        r.differ || "none",
      ]),
    ),
  );
  const inSaving = rows.filter((r) => r.left !== "").length;
  console.log(
    `\n${rows.length} kills, ${inSaving} of them while a checkpoint was written or removed. Completed saves that were lost: ${rows.filter((r) => r.lost).length}.\n` +
      `After ${steps} steps: ${end.length === 0 ? "weights, moments, random state, data order and log history are those of the run that nobody killed, bit for bit" : `${end.join(", ")} differ`}; log.jsonl ${log ? "is the same" : "differs"}.`,
  );
  const device = await openDevice();
  writeJson(options.json, "resume-kill", device.info, {
    steps,
    saveSteps,
    seed: Number(options.seed),
    kills: rows,
    end: { differ: end, sameLog: log },
    checks: [
      { what: "kills", found: rows.length, atLeast: kills },
      { what: "completed saves that were lost", found: rows.filter((r) => r.lost).length, atMost: 0 },
      {
        what: "files that differ at a kill or at the end",
        found: rows.filter((r) => r.differ).length + end.length,
        atMost: 0,
      },
      { what: "log.jsonl is the same (1: yes)", found: log ? 1 : 0, atLeast: 1 },
    ],
  });
  device.close();
  const isExact = end.length === 0 && log && rows.every((r) => !r.lost && r.differ === "");
  process.exitCode = isExact ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
