import type { Dispatch } from "../device/commands.js";

/** Sizes that a text names at most. */
const NAMED = 4;
/** Fields that say where things lie, not how large they are. */
const PLACE = /offset|stride|start|first|last|seed|unused|rank|bits|(?:^|_)(?:at|row|head|batch)$/;

/** Names of the leading `u32` fields of a kernel's `Params`, by the text of the program. */
const fieldsOf = new Map<string, readonly string[]>();

function leadingFields(code: string): readonly string[] {
  const known = fieldsOf.get(code);
  if (known) return known;
  const body = /struct\s+Params\s*\{([^}]*)\}/.exec(code.replace(/\/\/.*$/gm, ""))?.[1] ?? "";
  const names: string[] = [];
  for (const field of body.split(",")) {
    const [, name, type] = /^\s*(\w+)\s*:\s*(\w+)\s*$/.exec(field) ?? [];
    if (!name || type !== "u32" || PLACE.test(name) || names.length === NAMED) break;
    names.push(name);
  }
  fieldsOf.set(code, names);
  return names;
}

/**
 * What tells dispatches of one kernel apart, in words: the sizes that lead its `Params` struct by their names there (`m 1024,
 * n 384, k 1536`), else its grid; then flags that are on, and f16.
 */
export function shapeText({ pipeline, params, grid, specialisation }: Dispatch): string {
  const sizes = leadingFields(pipeline.code).flatMap((name, i) => {
    const value = params[i];
    return typeof value === "number" ? [`${name} ${value}`] : [];
  });
  const flags = Object.entries(specialisation?.constants ?? {}).filter(([, value]) => value === true);
  const types = Object.values(specialisation?.types ?? {}).filter((type) => type === "f16");
  return [
    ...(sizes.length > 0 ? sizes : [`grid ${gridText(grid)}`]),
    ...flags.map(([name]) => name.toLowerCase().replaceAll("_", " ")),
    ...new Set(types),
  ].join(", ");
}

function gridText([x, y, z]: Dispatch["grid"]): string {
  if (z > 1) return `${x}×${y}×${z}`;
  return y > 1 ? `${x}×${y}` : String(x);
}
