import { readdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LabLoader } from "./lab.js";

/** Every lab, in the order of `wgrad lab`. */
export const LABS: Readonly<Record<string, LabLoader>> = {
  explore: async () => (await import("./explore/index.js")).lab,
  "features-svm": async () => (await import("./features-svm/index.js")).lab,
  finetune: async () => (await import("./finetune/index.js")).lab,
  lora: async () => (await import("./lora/index.js")).lab,
  mlm: async () => (await import("./mlm/index.js")).lab,
  "imdb-scratch": async () => (await import("./imdb-scratch/index.js")).lab,
  "clip-zero-shot": async () => (await import("./clip-zero-shot/index.js")).lab,
  "clip-linear-probe": async () => (await import("./clip-linear-probe/index.js")).lab,
  "clip-lora-head": async () => (await import("./clip-lora-head/index.js")).lab,
  "clip-lora-contrastive": async () => (await import("./clip-lora-contrastive/index.js")).lab,
  "clip-full": async () => (await import("./clip-full/index.js")).lab,
  "clip-shapes": async () => (await import("./clip-shapes/index.js")).lab,
  compare: async () => (await import("./compare/index.js")).lab,
};

/** A recipe that ships with the command. */
export interface ShippedRecipe {
  /** Name of the file without its ending; a lab's own is named as the lab. */
  readonly name: string;
  readonly path: string;
}

/** The recipes of `recipes/`, sorted by name. They lie beside what is built, which is split into files in `dist/` and `dist/chunks/`. */
export async function shippedRecipes(): Promise<ShippedRecipe[]> {
  for (const place of ["./recipes/", "../recipes/", "../../dist/recipes/"]) {
    const folder = fileURLToPath(new URL(place, import.meta.url));
    const names = (await readdir(folder).catch(() => [])).filter((name) => name.endsWith(".yaml"));
    const recipes = names.map((name) => ({ name: basename(name, ".yaml"), path: join(folder, name) }));
    if (recipes.length > 0) return recipes.sort((a, b) => (a.name < b.name ? -1 : 1));
  }
  return [];
}
