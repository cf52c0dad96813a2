// Which package may import what (the arrows in the README), checked over every source file.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import ts from "typescript";
import { describe, expect, it } from "vitest";

const packagesFolder = resolve(dirname(fileURLToPath(import.meta.url)), "../packages");

/** What each package may import of ours. */
const allowed: Record<string, string[]> = {
  tensor: [],
  image: [],
  models: ["tensor", "image"],
  peft: ["tensor", "models"],
  datasets: ["image"],
  estimators: [],
  trainer: ["tensor", "models", "peft", "datasets"],
  cli: ["tensor", "models", "peft", "datasets", "trainer", "estimators", "image"],
};

/** Packages whose every entry but `./node` must run in a browser. */
const forBrowsers = ["tensor", "image", "models", "peft", "estimators"];
const nodeOnly = new Set(["webgpu", "sharp", ...builtinModules]);

interface Manifest {
  name: string;
  exports: Record<string, { import: string; types: string }>;
  dependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
}

interface Import {
  specifier: string;
  typeOnly: boolean;
}

/** Every import, re-export and dynamic import of a TypeScript file. */
function importsOf(file: string): Import[] {
  const source = ts.createSourceFile(file, readFileSync(file, "utf8"), ts.ScriptTarget.Latest);
  const found: Import[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node) && ts.isStringLiteral(node.moduleSpecifier)) {
      const named = node.importClause?.namedBindings;
      const onlyTypes =
        !node.importClause?.name &&
        named !== undefined &&
        ts.isNamedImports(named) &&
        named.elements.length > 0 &&
        named.elements.every((element) => element.isTypeOnly);
      found.push({
        specifier: node.moduleSpecifier.text,
        typeOnly: node.importClause?.isTypeOnly === true || onlyTypes,
      });
    } else if (
      ts.isExportDeclaration(node) &&
      node.moduleSpecifier &&
      ts.isStringLiteral(node.moduleSpecifier)
    ) {
      found.push({ specifier: node.moduleSpecifier.text, typeOnly: node.isTypeOnly });
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [argument] = node.arguments;
      if (argument && ts.isStringLiteralLike(argument))
        found.push({ specifier: argument.text, typeOnly: false });
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      if (ts.isStringLiteral(node.argument.literal))
        found.push({ specifier: node.argument.literal.text, typeOnly: true });
    }
    ts.forEachChild(node, visit);
  };
  visit(source);
  return found;
}

const isRelative = (specifier: string): boolean => specifier.startsWith(".");

/** `@scope/name` or `name` of a specifier such as `@scope/name/sub/path`. */
const packageOf = (specifier: string): string =>
  specifier
    .split("/")
    .slice(0, specifier.startsWith("@") ? 2 : 1)
    .join("/");

const isNodeOnly = (specifier: string): boolean =>
  specifier.startsWith("node:") || nodeOnly.has(packageOf(specifier));

/** The TypeScript file that a relative import means, undefined for other files. */
function sourceOf(from: string, specifier: string): string | undefined {
  const target = resolve(dirname(from), specifier);
  return [target.replace(/\.js$/, ".ts"), target].find((file) => file.endsWith(".ts") && existsSync(file));
}

for (const [name, targets] of Object.entries(allowed)) {
  const folder = join(packagesFolder, name);
  const manifest: Manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const files = readdirSync(join(folder, "src"), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".d.ts"))
    .map((file) => join(folder, "src", file));
  // What only tests import (`src/testing`) is not published either.
  const sources = files.filter((file) => !/\.(?:test|bench)\.ts$|\/testing\//.test(file));
  const place = (file: string): string => relative(packagesFolder, file);

  describe(`imports of ${manifest.name}`, () => {
    it("stay on its own side of the arrows", () => {
      const wrong = sources.flatMap((file) =>
        importsOf(file)
          .filter(({ specifier }) => specifier.startsWith("@wgrad/") || specifier === "wgrad")
          .filter(({ specifier }) => !targets.includes(packageOf(specifier).replace("@wgrad/", "")))
          .map(({ specifier }) => `${place(file)} imports ${specifier}`),
      );
      expect(wrong).toEqual([]);
    });

    it("reach other packages through their published entries, and its own files inside src/", () => {
      const wrong = files.flatMap((file) =>
        importsOf(file)
          .filter(({ specifier }) => {
            if (isRelative(specifier)) {
              const target = relative(join(folder, "src"), resolve(dirname(file), specifier));
              return target.startsWith("..") && !file.endsWith(".test.ts");
            }
            if (!specifier.startsWith("@wgrad/")) return false;
            const target = packageOf(specifier);
            const other = join(packagesFolder, target.replace("@wgrad/", ""), "package.json");
            if (!existsSync(other)) return true;
            const doors: Manifest = JSON.parse(readFileSync(other, "utf8"));
            return !(`.${specifier.slice(target.length)}` in doors.exports);
          })
          .map(({ specifier }) => `${place(file)} imports ${specifier}`),
      );
      expect(wrong).toEqual([]);
    });

    it("are declared in its package.json", () => {
      const declared = { ...manifest.dependencies, ...manifest.peerDependencies };
      const wrong = sources.flatMap((file) =>
        importsOf(file)
          .filter(
            ({ specifier, typeOnly }) =>
              !typeOnly && !isRelative(specifier) && !specifier.startsWith("node:"),
          )
          .filter(
            ({ specifier }) => !(packageOf(specifier) in declared) && packageOf(specifier) !== manifest.name,
          )
          .map(({ specifier }) => `${place(file)} imports ${specifier}`),
      );
      expect(wrong).toEqual([]);
    });

    if (!forBrowsers.includes(name)) return;
    it("meet nothing of Node outside of ./node", () => {
      const wrong: string[] = [];
      const seen = new Set<string>();
      const walk = (file: string): void => {
        if (seen.has(file)) return;
        seen.add(file);
        for (const { specifier, typeOnly } of importsOf(file)) {
          if (typeOnly) continue;
          if (isNodeOnly(specifier) || /^@wgrad\/[^/]+\/node$/.test(specifier))
            wrong.push(`${place(file)} imports ${specifier}`);
          const next = isRelative(specifier) ? sourceOf(file, specifier) : undefined;
          if (next) walk(next);
        }
      };
      for (const [door, target] of Object.entries(manifest.exports)) {
        const entry = join(folder, target.import.replace("./dist/", "src/").replace(/\.js$/, ".ts"));
        if (door !== "./node" && existsSync(entry)) walk(entry);
      }
      expect(wrong).toEqual([]);
    });
  });
}
