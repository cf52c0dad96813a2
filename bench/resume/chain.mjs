// Kills a run again and again and compares what is left with a run that nobody killed.
import { spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("./run.mjs", import.meta.url));

/** Figures that are times or places, not results. */
const FLEETING = /(runtime|per_second)$|^best_model_checkpoint$/;

/**
 * Runs the program until it ends or a trigger kills it.
 * @param {string[]} args of run.mjs
 * @param {{ on: string, count: number, delay: number } | null} kill after the `count`th line that begins with `on`, `delay` ms later
 * @returns {Promise<{ killed: boolean, lines: string[] }>}
 */
export function leg(args, kill) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "pipe"] });
    const lines = [];
    let rest = "";
    let errors = "";
    let seen = 0;
    let timer = null;
    child.stderr.on("data", (data) => {
      errors += data;
    });
    child.stdout.on("data", (data) => {
      const parts = (rest + data).split("\n");
      rest = parts.pop();
      for (const line of parts) {
        lines.push(line);
        if (kill && line.startsWith(kill.on) && ++seen === kill.count)
          timer = setTimeout(() => child.kill("SIGKILL"), kill.delay);
      }
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (signal !== "SIGKILL" && code !== 0) reject(new Error(`run.mjs ended with ${code}:\n${errors}`));
      else resolve({ killed: signal === "SIGKILL", lines });
    });
  });
}

/** The last step that a run said it had saved. */
export function lastSaved(lines) {
  return lines.reduce((last, line) => (line.startsWith("saved ") ? Number(line.slice(6)) : last), 0);
}

/** Checkpoints of a folder by step, whatever state a kill left it in, and what else lies there. */
export function leftBehind(folder) {
  const names = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.startsWith("checkpoint-"))
    : [];
  const steps = names.flatMap((name) => /^checkpoint-(\d+)$/.exec(name)?.[1] ?? []).map(Number);
  return { steps: steps.sort((a, b) => a - b), others: names.filter((name) => /\.\w+$/.test(name)) };
}

const withoutFleeting = (value) => {
  if (Array.isArray(value)) return value.map(withoutFleeting);
  if (value === null || typeof value !== "object") return value;
  const kept = Object.entries(value).filter(([key]) => !FLEETING.test(key));
  return Object.fromEntries(kept.map(([key, inner]) => [key, withoutFleeting(inner)]));
};

const json = (path) => JSON.stringify(withoutFleeting(JSON.parse(readFileSync(path, "utf8"))));

/** Names of the files of a checkpoint that differ from the same step of the whole run; times and places left out. */
export function differences(folder, whole, step) {
  const [got, want] = [folder, whole].map((place) => join(place, `checkpoint-${step}`));
  const binary = ["model.safetensors", "optimizer.safetensors"].filter(
    (name) => !readFileSync(join(got, name)).equals(readFileSync(join(want, name))),
  );
  const texts = ["run_state.json", "trainer_state.json", "config.json"].filter(
    (name) => json(join(got, name)) !== json(join(want, name)),
  );
  return [...binary, ...texts];
}

/** Whether the logs of two runs have the same entries, times left out. */
export function sameLog(folder, whole) {
  const lines = (place) =>
    readFileSync(join(place, "log.jsonl"), "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.stringify(withoutFleeting(JSON.parse(line))))
      .join("\n");
  return lines(folder) === lines(whole);
}
