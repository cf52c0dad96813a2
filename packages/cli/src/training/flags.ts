import { type Command, InvalidArgumentError } from "commander";
import { UsageError } from "../errors.js";
import { flagOf, parseValue, SETTINGS } from "./settings.js";

/** One flag for each key of a recipe. */
export function addRecipeFlags(command: Command): void {
  for (const setting of SETTINGS) {
    const placeholder = { text: "<name>", number: "<n>", boolean: "[bool]", json: "<json>", map: "<op=…>" }[
      setting.kind
    ];
    const value = setting.default === undefined ? "" : ` (default: ${String(setting.default)})`;
    command.option(
      `${flagOf(setting.name)} ${placeholder}`,
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
    if (setting.default === true) command.option(flagOf(setting.name).replace("--", "--no-"), "turns it off");
  }
}
