import { type Command, Option } from "commander";
import { repeatable } from "../kernels/own.js";
import { wholeNumber } from "../numbers.js";
import { examples, type Verb, type VerbContext } from "../verb.js";

/** `wgrad kernels`. */
export const kernels: Verb = {
  define(command, context) {
    command
      .description(
        "The kernels of each operation: read them, check them, measure them, put your own in their place.",
      )
      .usage("<command> [options]")
      .addHelpText(
        "after",
        examples([
          ["wgrad kernels list", "operations, steps, and which is chosen on this adapter"],
          ["wgrad kernels show softmax/4-online --shape 1024x1024", "the WGSL that this adapter gets"],
          ["wgrad kernels new matmul mine.wgsl", "a kernel of your own to start from"],
          ["wgrad kernels check --kernel matmul=mine.wgsl", "is it right?"],
          ["wgrad kernels ab matmul/2-tile matmul=mine.wgsl", "train with each and compare"],
        ]),
      );
    defineList(command, context);
    defineShow(command, context);
    defineCheck(command, context);
    defineBench(command, context);
    defineTune(command, context);
    defineNew(command, context);
    defineAb(command, context);
  },
};

/** A command below `kernels`, with what all of them have. */
function sub(
  parent: Command,
  name: string,
  summary: string,
  lines: readonly (readonly [string, string])[],
): Command {
  return parent
    .command(name)
    .summary(summary)
    .description(`${summary[0]!.toUpperCase()}${summary.slice(1)}.`)
    .helpOption("-h, --help", "show this help")
    .option("--json", "print one JSON document on stdout")
    .addHelpText("after", examples(lines));
}

/** The flag that asks for a limited adapter, as in `wgrad verify`. */
function limitsOption(): Option {
  return new Option(
    "--limits <kind>",
    "adapter: all it offers; default: WebGPU's guaranteed limits, no f16, no subgroups",
  )
    .choices(["adapter", "default"])
    .default("adapter");
}

const KERNEL = "your own kernel for an op, checked first: op=file.wgsl (repeatable)";
const VARIANT = "another way to write op/step (repeatable)";

function defineList(parent: Command, context: VerbContext): void {
  sub(parent, "list", "operations, their steps, what each needs, which is chosen here and why", [
    ["wgrad kernels list", "everything"],
    ["wgrad kernels list softmax matmul", "two operations"],
    ["wgrad kernels list --limits default", "as on an adapter without f16 and subgroups"],
  ])
    .argument("[op...]", "operations (default: all)")
    .addOption(limitsOption())
    .action(async (ops: string[], flags, command: Command) => {
      const { runList } = await import("../kernels/verbs.js");
      await runList(ops, flags, context.ui(command.optsWithGlobals()));
    });
}

function defineShow(parent: Command, context: VerbContext): void {
  sub(parent, "show", "the exact WGSL that this adapter gets for a shape, with grid and parameters", [
    ["wgrad kernels show softmax --shape 1024x1024", "the step that is chosen"],
    ["wgrad kernels show softmax/1-naive", "a certain step, for the first bench shape"],
    ["wgrad kernels show matmul --kernel matmul=mine.wgsl", "your own, as it is compiled"],
  ])
    .argument("<op[/step]>", "operation, and one of its steps")
    .option("--shape <shape>", "shape text as `list` shows its form (default: the first bench shape)")
    .option("--kernel <op=file>", KERNEL, repeatable)
    .option("--force", "also a kernel that is wrong")
    .addOption(limitsOption())
    .action(async (name: string, flags, command: Command) => {
      const { runShow } = await import("../kernels/verbs.js");
      await runShow(name, flags, context.ui(command.optsWithGlobals()));
    });
}

function defineCheck(parent: Command, context: VerbContext): void {
  sub(parent, "check", "compare every step with the reference: all shapes, forward and backward", [
    ["wgrad kernels check", "every step of every ladder"],
    ["wgrad kernels check softmax matmul/3-register", "some of them"],
    ["wgrad kernels check --kernel matmul=mine.wgsl", "your own kernel"],
    ["wgrad kernels check --limits default", "within WebGPU's guaranteed limits"],
  ])
    .argument("[op[/step]...]", "operations or steps (default: all; with --kernel none)")
    .option("--shape <shape>", "this shape instead of the check shapes (repeatable)", repeatable)
    .option("--kernel <op=file>", "your own kernel for an op (repeatable)", repeatable)
    .option("--variant <op=step>", VARIANT, repeatable)
    .addOption(limitsOption())
    .action(async (names: string[], flags, command: Command) => {
      const { runCheck } = await import("../kernels/verbs.js");
      await runCheck(names, flags, context.ui(command.optsWithGlobals()), context);
    });
}

function defineBench(parent: Command, context: VerbContext): void {
  sub(parent, "bench", "measure steps: time and spread, GFLOP/s or GB/s, % of this adapter's peaks", [
    ["wgrad kernels bench matmul", "every step on every bench shape"],
    ["wgrad kernels bench softmax/4-online --shape 1024x1024", "one step on one shape"],
    ["wgrad kernels bench --kernel matmul=mine.wgsl", "your own beside ours"],
  ])
    .argument("[op[/step]...]", "operations or steps (default: all; with --kernel its op)")
    .option("--shape <shape>", "this shape instead of the bench shapes (repeatable)", repeatable)
    .option("--kernel <op=file>", KERNEL, repeatable)
    .option("--variant <op=step>", VARIANT, repeatable)
    .option("--force", "measure a kernel that is wrong all the same")
    .option("--seconds <n>", "time for one step on one shape", Number, 0.5)
    .addOption(limitsOption())
    .action(async (names: string[], flags, command: Command) => {
      const { runBench } = await import("../kernels/verbs.js");
      await runBench(names, flags, context.ui(command.optsWithGlobals()));
    });
}

function defineTune(parent: Command, context: VerbContext): void {
  sub(parent, "tune", "measure which step is fastest for each shape on this adapter and remember it", [
    ["wgrad kernels tune", "within two minutes"],
    ["wgrad kernels tune matmul --seconds 30", "one operation"],
    ["wgrad kernels tune --delete", "forget what was measured"],
  ])
    .argument("[op...]", "operations (default: all)")
    .option("--seconds <n>", "time for all of it", wholeNumber(1), 120)
    .option("--delete", "remove this adapter's cache file")
    .action(async (ops: string[], flags, command: Command) => {
      const { runTune } = await import("../kernels/verbs.js");
      await runTune(ops, flags, context.ui(command.optsWithGlobals()), context);
    });
}

function defineNew(parent: Command, context: VerbContext): void {
  sub(
    parent,
    "new",
    "write a kernel to start from: the contract as comments, and a plain kernel that is right",
    [
      ["wgrad kernels new matmul", "into matmul.wgsl"],
      ["wgrad kernels new softmax.backward kernels/mine.wgsl", "into a file of your choice"],
    ],
  )
    .argument("<op>", "operation")
    .argument("[file]", "file to write (default: <op>.wgsl); one that is there is left alone")
    .action(async (op: string, file: string | undefined, _flags, command: Command) => {
      const { runNew } = await import("../kernels/verbs.js");
      await runNew(op, file, context.ui(command.optsWithGlobals()));
    });
}

function defineAb(parent: Command, context: VerbContext): void {
  sub(
    parent,
    "ab",
    "train the same steps with two kernels: step time, share of the step, where losses part",
    [
      ["wgrad kernels ab matmul/1-naive matmul/2-tile", "two steps of a ladder, on the quickstart's model"],
      [
        "wgrad kernels ab matmul/2-tile matmul=mine.wgsl --recipe recipe.yaml",
        "ours and yours, on your recipe",
      ],
    ],
  )
    .argument("<a>", "op/step or op=file.wgsl")
    .argument("<b>", "the other one")
    .option("--recipe <file>", "recipe of wgrad train (default: the quickstart's model and data)")
    .option("--steps <n>", "steps to train with each", wholeNumber(1), 12)
    .option("--force", "also a kernel that is wrong")
    .action(async (a: string, b: string, flags, command: Command) => {
      const { runAb } = await import("../kernels/ab.js");
      await runAb(a, b, flags, context.ui(command.optsWithGlobals()));
    });
}
