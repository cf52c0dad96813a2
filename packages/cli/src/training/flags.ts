import { type Command, InvalidArgumentError, Option } from "commander";
import { UsageError } from "../errors.js";
import { flagOf, parseValue, SETTINGS, type Setting } from "./settings.js";

const PLACEHOLDERS: Readonly<Record<Setting["kind"], string>> = {
  text: "<name>",
  number: "<n>",
  boolean: "[bool]",
  switch: "[name]",
  json: "<json>",
  map: "<op=…>",
  list: "<names>",
};

/** One flag for each key of a recipe, under the headings of their groups. */
export function addRecipeFlags(command: Command, settings: readonly Setting[] = SETTINGS): void {
  for (const setting of settings) {
    const add = (flags: string, help: string, parse?: (text: string, before: unknown) => unknown) => {
      const option = new Option(flags, help);
      if (setting.group) option.helpGroup(setting.group);
      if (parse) option.argParser(parse);
      command.addOption(option);
    };
    const shown = Array.isArray(setting.default) ? setting.default.join(",") : setting.default;
    const value = shown === undefined ? "" : ` (default: ${String(shown)})`;
    add(
      `${flagOf(setting.name)} ${PLACEHOLDERS[setting.kind]}`,
      setting.help + value,
      (text: string, before: unknown) => {
        try {
          const parsed = parseValue(setting, text);
          // Given several times, each adds an op.
          return setting.kind === "map" ? Object.assign({}, before, parsed) : parsed;
        } catch (error) {
          throw new InvalidArgumentError(error instanceof UsageError ? error.message : String(error));
        }
      },
    );
    if (setting.default === true) add(flagOf(setting.name).replace("--", "--no-"), "turns it off");
  }
}
