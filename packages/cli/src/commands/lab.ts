import { existsSync } from "node:fs";
import { nearest } from "@wgrad/tensor";
import type { Command } from "commander";
import { UsageError } from "../errors.js";
import type { Lab } from "../labs/lab.js";
import { LABS, type ShippedRecipe, shippedRecipes } from "../labs/registry.js";
import { formatTable } from "../text/table.js";
import { addRecipeFlags } from "../training/flags.js";
import { readRecipe, readYaml } from "../training/prepare.js";
import type { Ui } from "../ui.js";
import { examples, type Verb, type VerbContext } from "../verb.js";

/** Flags of `wgrad lab NAME` that are no part of a recipe. */
interface OwnFlags {
  json?: boolean;
  resume?: string | boolean;
  overwriteOutputDir?: boolean;
  offline?: boolean;
}

/** `wgrad lab`. */
export const lab: Verb = {
  async define(command, context) {
    command
      .description("Run a whole lab from its recipe; without a name, list them.")
      .usage("[name] [recipe] [options]")
      .argument("[name...]", "a lab or a recipe that ships with it, then a recipe of your own")
      .allowUnknownOption()
      .addHelpText(
        "after",
        examples([
          ["wgrad lab", "list the labs and their recipes"],
          ["wgrad lab finetune --help", "what a lab does and its settings"],
          ["wgrad lab finetune --subset 64", "try it on 64 examples of each split"],
          [
            "wgrad lab lora --model my-model --dataset my-data",
            "your own model and data: folders or hub ids",
          ],
        ]),
      )
      .action(async (names: string[], flags: { json?: boolean }) => {
        if (names.length > 0) throw await unknownLab(names[0]!);
        await listLabs(context.ui(flags));
      });
    const name = context.words[0];
    if (name === undefined) return;
    const recipes = await shippedRecipes();
    const labName = Object.hasOwn(LABS, name)
      ? name
      : await labOfRecipe(recipes.find((recipe) => recipe.name === name));
    if (labName === undefined) return;
    defineLab(command.command(name), name, await LABS[labName]!(), recipes, context);
  },
};

/** The lab that a recipe says it is for. */
async function labOfRecipe(recipe: ShippedRecipe | undefined): Promise<string | undefined> {
  if (!recipe) return undefined;
  const { lab: name } = await readYaml(recipe.path);
  return typeof name === "string" && Object.hasOwn(LABS, name) ? name : undefined;
}

/** @param name the lab's, or that of a recipe of it */
function defineLab(
  command: Command,
  name: string,
  lab: Lab,
  recipes: readonly ShippedRecipe[],
  context: VerbContext,
): void {
  command
    .summary(lab.summary)
    .description(`${lab.summary[0]!.toUpperCase()}${lab.summary.slice(1)}.`)
    .helpOption("-h, --help", "show this help")
    .argument("[recipe]", `YAML file, or the name of a recipe that ships with it (default: ${name})`)
    .option("--json", "print one JSON document on stdout")
    .option("--resume [dir]", "go on from this checkpoint, or from the newest in the output folder")
    .option("--overwrite-output-dir", "remove what an earlier run left in the output folder")
    .option("--offline", "never touch the network");
  addRecipeFlags(command, lab.settings);
  command
    .addHelpText("after", examples(lab.examples))
    .action(async (given: string | undefined, flags: OwnFlags & Record<string, unknown>) => {
      const { json: _own, resume, overwriteOutputDir, offline, ...own } = flags;
      // The verb has --json too, and takes it from its labs.
      const ui = context.ui(command.optsWithGlobals<{ json?: boolean }>());
      const path = recipePath(given ?? name, recipes);
      const { settings } = lab;
      const fromFile = await readRecipe(path, {
        settings,
        labs: [lab.name],
        command: `wgrad lab ${lab.name}`,
      });
      const document = await lab.run({
        settings: { ...defaultsOf(lab), ...fromFile, ...own },
        offline: offline ?? false,
        resume: resume ?? false,
        overwrite: overwriteOutputDir ?? false,
        ui,
        exit: (code) => context.exit(code),
      });
      ui.document(document);
    });
}

/** A file, or a recipe that ships with the command. */
function recipePath(given: string, recipes: readonly ShippedRecipe[]): string {
  const shipped = recipes.find((recipe) => recipe.name === given);
  if (shipped) return shipped.path;
  if (existsSync(given)) return given;
  const names = recipes.map((recipe) => recipe.name);
  throw new UsageError(
    `${given}: there is no such recipe, neither as a file nor among those that ship with it (${names.join(", ")}).`,
  );
}

function defaultsOf(lab: Lab): Record<string, unknown> {
  const withDefault = lab.settings.filter((setting) => setting.default !== undefined);
  return Object.fromEntries(withDefault.map((setting) => [setting.name, setting.default]));
}

async function unknownLab(name: string): Promise<UsageError> {
  if (name.startsWith("-")) return new UsageError(`wgrad lab: unknown option ${name}. See wgrad lab --help.`);
  const names = [
    ...new Set([...Object.keys(LABS), ...(await shippedRecipes()).map((recipe) => recipe.name)]),
  ];
  return new UsageError(
    `there is no lab "${name}". Did you mean ${nearest(name, names)}? All labs: wgrad lab`,
  );
}

async function listLabs(ui: Ui): Promise<void> {
  const recipes = await shippedRecipes();
  const rows: { name: string; summary: string; recipes: ShippedRecipe[] }[] = [];
  const of = new Map<string, string | undefined>();
  for (const recipe of recipes) of.set(recipe.name, await labOfRecipe(recipe));
  for (const [name, load] of Object.entries(LABS)) {
    const { summary } = await load();
    rows.push({ name, summary, recipes: recipes.filter((recipe) => of.get(recipe.name) === name) });
  }
  ui.result(
    formatTable(
      ["lab", "what it does", "recipes"],
      rows.map((row) => [row.name, row.summary, row.recipes.map((recipe) => recipe.name).join(", ")]),
      [0, 1, 2],
    ),
  );
  ui.result(
    "\nRun one: wgrad lab NAME [--model …] [--dataset …] [--subset 64]. Its settings: wgrad lab NAME --help",
  );
  ui.document(rows);
}
