import { Command, CommanderError } from "commander";
import { describeFailure, EXIT } from "./errors.js";
import { Ui } from "./ui.js";
import type { Verb, VerbContext } from "./verb.js";

interface Listed {
  readonly summary: string;
  readonly load: () => Promise<Verb>;
}

/** Every verb in the order of `--help`. Modules are loaded when the verb is used, so that help needs no GPU. */
const VERBS: Readonly<Record<string, Listed>> = {
  doctor: {
    summary: "check that this machine can compute: driver, adapter, features, a real dispatch",
    load: async () => (await import("./commands/doctor.js")).doctor,
  },
  quickstart: {
    summary: "fine-tune a small DistilBERT on an embedded data set, in minutes",
    load: async () => (await import("./commands/quickstart.js")).quickstart,
  },
  train: {
    summary: "fine-tune a model on a data set, from flags or a YAML recipe",
    load: async () => (await import("./commands/train.js")).train,
  },
  eval: {
    summary: "measure a fine-tuned model on a split",
    load: async () => (await import("./commands/eval.js")).evaluate,
  },
  predict: {
    summary: "classify texts from the command line or stdin",
    load: async () => (await import("./commands/predict.js")).predict,
  },
  "zero-shot": {
    summary: "say which of some labels fits a picture, by a CLIP that was not trained for them",
    load: async () => (await import("./commands/zero-shot.js")).zeroShot,
  },
  features: {
    summary: "write the features of a frozen encoder for every text of a data set",
    load: async () => (await import("./commands/features.js")).features,
  },
  svm: {
    summary: "fit support vector machines and logistic regression on features",
    load: async () => (await import("./commands/svm.js")).svm,
  },
  lab: {
    summary: "run a whole lab from its recipe: explore, fine-tune, LoRA, CLIP, …",
    load: async () => (await import("./commands/lab.js")).lab,
  },
  compare: {
    summary: "put runs side by side: scores, parameters, time, memory, best epoch",
    load: async () => (await import("./commands/compare.js")).compare,
  },
  report: {
    summary: "write a page about runs: curves, confusion matrix, examples, time and memory",
    load: async () => (await import("./commands/report.js")).report,
  },
  inspect: {
    summary: "look into a data set, a model or a tokenizer",
    load: async () => (await import("./commands/inspect.js")).inspect,
  },
  kernels: {
    summary: "read, check, measure, tune and replace the kernels of each operation",
    load: async () => (await import("./commands/kernels.js")).kernels,
  },
  profile: {
    summary: "time every dispatch of a training step: by pass, module and kernel",
    load: async () => (await import("./commands/profile.js")).profile,
  },
  verify: {
    summary: "run reference cases on this adapter and compare every number",
    load: async () => (await import("./commands/verify.js")).verify,
  },
};

/** Version of the package, from its manifest: one folder up from the sources, one or two up from what is built. */
async function version(): Promise<string> {
  const { readFile } = await import("node:fs/promises");
  for (const path of ["../package.json", "../../package.json"]) {
    const text = await readFile(new URL(path, import.meta.url), "utf8").catch(() => "{}");
    const manifest = JSON.parse(text) as { name?: string; version?: string };
    if (manifest.name === "wgrad" && manifest.version) return manifest.version;
  }
  return "unknown";
}

/**
 * Runs one command line.
 * @param argv arguments without `node` and the script
 * @returns the exit code: 0 done, 1 failed, 2 wrong use, 130 interrupted
 */
export async function run(argv: readonly string[]): Promise<number> {
  let exitCode: number = EXIT.done;
  let ui = new Ui({ json: argv.includes("--json") });
  const words = argv.filter((word) => !word.startsWith("-"));
  const context: VerbContext = {
    words: words.slice(words[0] === "help" ? 2 : 1),
    ui(options) {
      ui = new Ui(options);
      return ui;
    },
    exit(code) {
      exitCode = code;
    },
  };
  const leave = () => {
    if (ui.interrupt()) return;
    ui.done();
    process.exit(EXIT.interrupted);
  };
  process.on("SIGINT", leave).on("SIGTERM", leave);
  process.stdout.on("error", quietPipe);
  try {
    const program = await makeProgram(argv, context);
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    exitCode = report(error, ui);
  } finally {
    ui.done();
    process.off("SIGINT", leave).off("SIGTERM", leave);
  }
  return exitCode;
}

/** `wgrad inspect … | head` closes the pipe early: that is no failure. */
function quietPipe(error: NodeJS.ErrnoException): void {
  if (error.code === "EPIPE") process.exit(EXIT.done);
  throw error;
}

async function makeProgram(argv: readonly string[], context: VerbContext): Promise<Command> {
  const program = new Command("wgrad")
    .description("Fine-tune, evaluate and inspect models on any WebGPU adapter.")
    .usage("<verb> [options]")
    .version(await version())
    .helpCommand("help [verb]", "show the help of a verb")
    .exitOverride()
    .addHelpText(
      "after",
      "\nStart with:\n  wgrad doctor\n  wgrad quickstart\n  wgrad lab clip-shapes\nExit codes: 0 done, 1 failed, 2 wrong use, 130 interrupted.\n",
    );
  program.configureHelp({ showGlobalOptions: false });
  const wanted = argv.filter((word) => !word.startsWith("-")).slice(0, 2);
  const used = wanted[0] === "help" ? wanted[1] : wanted[0];
  for (const [name, { summary, load }] of Object.entries(VERBS)) {
    const command = program
      .command(name)
      .summary(summary)
      .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)
      .helpOption("-h, --help", "show this help");
    if (name !== used) continue;
    command.option("--json", "print one JSON document on stdout");
    await (await load()).define(command, context);
  }
  return program;
}

function report(error: unknown, ui: Ui): number {
  if (error instanceof CommanderError) {
    // Commander has printed the help or what was wrong.
    if (error.exitCode === 0) return EXIT.done;
    return EXIT.usage;
  }
  ui.done();
  const failure = describeFailure(error);
  if (process.env.WGRAD_DEBUG === "1" && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.stderr.write(`wgrad: ${failure.message}\n`);
  ui.document({ error: { code: failure.code, message: failure.message } });
  return failure.exitCode;
}
