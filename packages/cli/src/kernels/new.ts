import { mkdir, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { LabEntry } from "@wgrad/tensor/lab";
import { UsageError } from "../errors.js";

/** The file that `wgrad kernels new` writes: the contract as comments, and a plain kernel that is right. */
export function templateOf({ ladder, summary, reference, contract }: LabEntry, file: string): string {
  const rule = `// ${"-".repeat(96)}`;
  const provided = contract.provided.join("\n").trim();
  return [
    `// A kernel of your own for ${ladder.op}: ${summary}`,
    `// Reference: ${reference}`,
    "//",
    ...contract.description.map((line) => `// ${line}`),
    "//",
    `//   wgrad kernels check --kernel ${ladder.op}=${file}    is it right?`,
    `//   wgrad kernels bench --kernel ${ladder.op}=${file}    how fast is it beside ours?`,
    `//   wgrad train … --kernel ${ladder.op}=${file}          train with it`,
    ...(provided === ""
      ? []
      : [
          rule,
          "// Put before this file by the engine:",
          ...provided.split("\n").map((line) => `// ${line}`.trimEnd()),
        ]),
    rule,
    "",
    contract.template.trim(),
    "",
  ].join("\n");
}

/** Writes the template. @throws UsageError if the file is there already */
export async function writeTemplate(entry: LabEntry, file: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  try {
    await writeFile(file, templateOf(entry, file), { flag: "wx" });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new UsageError(
      `${file} is there already and is left alone. Name another file, or remove it first.`,
      {
        cause,
      },
    );
  }
}
