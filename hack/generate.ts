/**
 * `npm run generate [-- NAME…]` writes the generated files; `--check` says which are not fresh and ends with 1.
 * Generators that need a real API server are left out of `--check`, with a line that says so, where there is none.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { FleetwrightError } from "@fleetwright/kube";
import { generateCrds } from "./generate-crds.ts";
import { generateKubeTypes } from "./generate-kube-types.ts";
import { generatePatchKeys } from "./generate-patch-keys.ts";
import { generateRbac } from "./generate-rbac.ts";
import { generateTwinSchemas } from "./generate-twin-schemas.ts";
import { generateTwinBootstrap } from "./generate-twin-bootstrap.ts";

interface Generator {
  readonly name: string;
  /** All files there with this ending are this generator's: what it no longer writes is removed. */
  readonly owns: { readonly folder: string; readonly ending: string };
  /** Path from the repository's root to content. */
  readonly files: () => ReadonlyMap<string, string> | Promise<ReadonlyMap<string, string>>;
}

const generators: readonly Generator[] = [
  { name: "crds", owns: { folder: "config/crd", ending: ".yaml" }, files: generateCrds },
  { name: "rbac", owns: { folder: "config/rbac", ending: ".yaml" }, files: generateRbac },
  {
    name: "kube-types",
    owns: { folder: "packages/kube/src/builtin", ending: ".generated.ts" },
    files: generateKubeTypes,
  },
  {
    name: "patch-keys",
    owns: { folder: "packages/kube/src/patch", ending: ".generated.ts" },
    files: generatePatchKeys,
  },
  {
    name: "twin-schemas",
    owns: { folder: "packages/twin/src/schema", ending: ".generated.json" },
    files: generateTwinSchemas,
  },
  {
    name: "twin-bootstrap",
    owns: { folder: "packages/twin/src/auth/generated", ending: ".json" },
    files: generateTwinBootstrap,
  },
];

async function contentOf(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

async function ownedFiles({ folder, ending }: Generator["owns"]): Promise<readonly string[]> {
  try {
    return (await readdir(folder)).filter((file) => file.endsWith(ending)).map((file) => `${folder}/${file}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw error;
  }
}

/** Paths whose content is not what it should be; `undefined` content: should not be there. */
async function differences(generator: Generator): Promise<ReadonlyMap<string, string | undefined>> {
  const wanted = await generator.files();
  const stale = (await ownedFiles(generator.owns)).filter((path) => !wanted.has(path));
  const different = new Map<string, string | undefined>(stale.map((path) => [path, undefined]));
  for (const [path, content] of wanted) if ((await contentOf(path)) !== content) different.set(path, content);
  return different;
}

const check = process.argv.includes("--check");
const names = process.argv.slice(2).filter((argument) => !argument.startsWith("-"));
const unknown = names.filter((name) => !generators.some((generator) => generator.name === name));
if (unknown.length > 0) {
  console.error(
    `generate: no generator ${unknown.join(", ")}; there are ${generators.map(({ name }) => name).join(", ")}`,
  );
  process.exit(2);
}

for (const generator of generators) {
  if (names.length > 0 && !names.includes(generator.name)) continue;
  try {
    for (const [path, content] of await differences(generator)) {
      if (check) {
        console.error(`generate: ${path} is not fresh; run "npm run generate -- ${generator.name}"`);
        process.exitCode = 1;
      } else if (content === undefined) {
        await rm(path);
        console.log(`removed ${path}`);
      } else {
        await mkdir(dirname(path), { recursive: true });
        await writeFile(path, content);
        console.log(`wrote ${path}`);
      }
    }
  } catch (error) {
    if (!(error instanceof FleetwrightError) || error.code !== "FW_LAB_BINARIES") throw error;
    console.error(`generate: ${generator.name} ${check ? "not checked" : "not written"}: ${error.message}`);
    if (!check) process.exitCode = 2;
  }
}
