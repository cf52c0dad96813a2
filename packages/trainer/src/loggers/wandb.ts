import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createRequire } from "node:module";
import { join } from "node:path";
import type { CallbackContext, LogEntry, TrainerCallback } from "../callbacks.js";
import { trainingArgumentsToJson } from "../training-arguments.js";
import { rewriteLogs } from "./log-names.js";
import { WandbRunFile, type WandbRunInfo } from "./wandb-file.js";

/** What a `WandbCallback` may be told; what is left out comes from W&B's own environment variables. */
export interface WandbOptions {
  /** Default: `WANDB_PROJECT`, else `huggingface`, as in transformers. */
  project?: string;
  /** Default: `WANDB_MODE`, else `online`. `offline` keeps the run in a file for `wandb sync`; `disabled` does nothing. */
  mode?: WandbMode;
  /** Folder that gets the folder `wandb`. Default: `WANDB_DIR`, else the working folder. */
  dir?: string;
  /** Where it says what became of the run. Default: lines on stderr. */
  say?: (line: string) => void;
  /** Seconds that the end of training waits for what is still on its way. Default 30. */
  timeout?: number;
}

/** Where a run is kept. */
export type WandbMode = "online" | "offline" | "disabled";

const SDK = "@wandb/sdk";

/**
 * Logs to Weights & Biases, as `transformers.integrations.WandbCallback`: the arguments and the model's configuration, and every log
 * entry under Hugging Face's names beside `train/global_step`.
 *
 * The run is always kept in a file below `wandb/`, in the format of W&B's own clients, and with mode `online` also sent as it goes
 * on, through W&B's JavaScript SDK (the optional package `@wandb/sdk`). Without that package, a key or a network, training goes on,
 * one line says so, and `wandb sync <folder>` sends the run later.
 */
export class WandbCallback implements TrainerCallback {
  readonly #options: WandbOptions;
  #file: WandbRunFile | null = null;
  #client: WandbClient | null = null;
  #folder = "";

  constructor(options: WandbOptions = {}) {
    this.#options = options;
  }

  /** Folder of the run, for `wandb sync`; empty before training begins. */
  get folder(): string {
    return this.#folder;
  }

  onTrainBegin({ args, trainer }: CallbackContext): void {
    const env = process.env;
    const mode = this.#options.mode ?? modeOf(env.WANDB_MODE);
    if (mode === "disabled") return;
    const run: WandbRunInfo = {
      id: env.WANDB_RUN_ID || newRunId(),
      project: this.#options.project ?? (env.WANDB_PROJECT || "huggingface"),
      entity: env.WANDB_ENTITY ?? "",
      displayName: args.runName ?? env.WANDB_NAME ?? "",
      config: { ...trainer.model.configJson(), ...trainingArgumentsToJson(args) },
    };
    const kind = mode === "offline" ? "offline-run" : "run";
    const folder = join(this.#options.dir ?? (env.WANDB_DIR || "."), "wandb");
    this.#folder = join(folder, `${kind}-${timeStamp(new Date())}-${run.id}`);
    this.#file = new WandbRunFile(join(this.#folder, `run-${run.id}.wandb`), run);
    if (mode === "offline") {
      this.#say(`W&B: offline. Send the run later with: wandb sync ${this.#folder}`);
      return;
    }
    this.#client = new WandbClient(run, {
      running: (url) => this.#say(`W&B: ${url}`),
      failed: (why) =>
        this.#say(
          `W&B: ${why}. Training is not affected; send the run later with: wandb sync ${this.#folder}`,
        ),
    });
  }

  onLog({ logs, state }: CallbackContext & { logs: LogEntry }): void {
    const row = { ...rewriteLogs(logs), "train/global_step": state.globalStep };
    this.#file?.log(row);
    this.#client?.log(row);
  }

  async onTrainEnd(): Promise<void> {
    this.#file?.finish();
    this.#file = null;
    await this.#client?.finish((this.#options.timeout ?? 30) * 1000);
    this.#client = null;
  }

  #say(line: string): void {
    const say = this.#options.say ?? ((text: string) => void process.stderr.write(`${text}\n`));
    say(line);
  }
}

/** Whether W&B's SDK can be found, from the working folder or from this package. */
export function isWandbAvailable(): boolean {
  return findSdk() !== null;
}

function findSdk(): string | null {
  for (const from of [join(process.cwd(), "package.json"), import.meta.url]) {
    try {
      return createRequire(from).resolve(SDK);
    } catch {
      // Not from there.
    }
  }
  return null;
}

/** What the process of the SDK tells. */
type Answer = { type: "running"; url: string } | { type: "failed"; why: string } | { type: "finished" };

/** Who is told what becomes of the run: once that it is there, at most once that it is not. */
interface Listener {
  running: (url: string) => void;
  failed: (why: string) => void;
}

/**
 * The SDK in a process of its own. Within ours it would end the process on Ctrl-C before the checkpoint is written, bring it down
 * with an exception nobody can catch when W&B refuses the run, and ask for a key on the terminal.
 */
class WandbClient {
  readonly #child: ChildProcess | null;
  #failed = false;
  readonly #over: Promise<void>;

  readonly #told: Listener;

  constructor(run: WandbRunInfo, told: Listener) {
    const sdk = findSdk();
    const fail = (why: string) => this.#fail(why);
    this.#told = told;
    if (sdk === null) {
      this.#child = null;
      this.#over = Promise.resolve();
      fail(`the package ${SDK} is not installed (npm install ${SDK})`);
      return;
    }
    const child = spawn(process.execPath, ["--input-type=commonjs", "--eval", CLIENT, sdk], {
      // A group of its own: Ctrl-C is for the trainer, which ends this one after its last step.
      detached: true,
      windowsHide: true,
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    this.#child = child;
    // What the SDK writes on stderr is the only place where it tells why it got no answer.
    let words = "";
    child.stderr?.on("data", (text: Buffer) => {
      words = `${words}${text}`.slice(0, 4000);
    });
    this.#over = new Promise((settle) => {
      let isFinished = false;
      child.on("message", (answer: Answer) => {
        if (answer.type === "running") told.running(answer.url);
        else if (answer.type === "failed") fail(plain(answer.why, words));
        else isFinished = true;
        if (answer.type !== "running") settle();
      });
      child.on("error", (error) => {
        fail(error.message);
        settle();
      });
      child.on("exit", (code) => {
        if (!isFinished) fail(plain(`the SDK ended with code ${code}`, words));
        settle();
      });
    });
    // It must not keep a trainer alive that ended with an exception.
    child.unref();
    child.channel?.unref();
    (child.stderr as unknown as { unref?: () => void } | null)?.unref?.();
    this.#send({ type: "init", run });
  }

  log(row: Readonly<Record<string, number>>): void {
    this.#send({ type: "log", row });
  }

  /** Sends what is on its way and ends the process, at the latest after some milliseconds. */
  async finish(timeout: number): Promise<void> {
    if (!this.#child || this.#failed) return;
    this.#child.channel?.ref();
    this.#send({ type: "finish" });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((settle) => {
      timer = setTimeout(() => {
        this.#fail(`no answer for ${timeout / 1000} s at the end`);
        settle();
      }, timeout);
    });
    await Promise.race([this.#over, late]);
    clearTimeout(timer);
    if (this.#child.connected) this.#child.disconnect();
  }

  #fail(why: string): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#told.failed(why);
  }

  #send(message: Record<string, unknown>): void {
    if (this.#failed || !this.#child?.connected) return;
    // A failure to send is told by the end of the process.
    this.#child.send(message, () => {});
  }
}

/** What the process of the SDK runs. It ends with its parent. */
const CLIENT = `
const { wandb } = require(process.argv[1]);
const tell = (answer) => process.connected && process.send(answer);
const fail = (error) => {
  tell({ type: "failed", why: String(error?.message ?? error) });
  setTimeout(() => process.exit(1), 50);
};
process.on("uncaughtException", fail);
process.on("unhandledRejection", fail);
process.on("disconnect", () => process.exit(0));
let run;
let ready = Promise.resolve();
process.on("message", (message) => {
  ready = ready.then(async () => {
    if (message.type === "init") {
      const { id, project, entity, displayName, config } = message.run;
      run = await wandb.init({ id, project, config, ...(entity && { entity }), ...(displayName && { name: displayName }) });
      tell({ type: "running", url: run.url() });
    } else if (message.type === "log") run.log(message.row);
    else {
      await run.finish(0);
      tell({ type: "finished" });
    }
  });
  ready.catch(fail);
});
`;

/** A reason in one line: what the SDK says, and the request that failed where it named one. */
function plain(why: string, words: string): string {
  if (/prompt for API key|No API key/i.test(why))
    return "no key (set WANDB_API_KEY, or log in once with wandb login)";
  const request = /(?:FetchError: )?(request to \S+ failed[^\n]*)/.exec(words)?.[1];
  const status = /Fatal HTTP error \((\d+)\)/.exec(words)?.[1];
  const cause = request ?? (status ? `W&B answered with status ${status}` : null);
  const line = (cause ? `${why}: ${cause}` : why).split("\n")[0]!;
  const key = process.env.WANDB_API_KEY;
  return (key ? line.replaceAll(key, "…") : line).replace(/\.$/, "");
}

function modeOf(text: string | undefined): WandbMode {
  if (text === "offline" || text === "dryrun") return "offline";
  return text === "disabled" ? "disabled" : "online";
}

/** Eight letters and digits, as W&B's. */
function newRunId(): string {
  return Array.from(randomBytes(8), (byte) => "abcdefghijklmnopqrstuvwxyz0123456789"[byte % 36]).join("");
}

/** `20261122_140509` in local time. */
function timeStamp(now: Date): string {
  const two = (value: number) => String(value).padStart(2, "0");
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}_${[now.getHours(), now.getMinutes(), now.getSeconds()].map(two).join("")}`;
}
