import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { command } from "./command.ts";

/** The machine's own Debian sources, one archive each; only their first entry is of use here. */
const sourcesFiles = ["/etc/apt/sources.list.d/debian.sources", "/etc/apt/sources.list"];

/** The first entry of a deb822 or one-line sources file with another suite in it; nothing else of it is kept. */
export function sourcesOf(text: string, suite: string): { readonly text: string; readonly format: "sources" | "list" } {
  const lines = text.split("\n").filter((line) => !line.startsWith("#"));
  const oneLine = lines.find((line) => line.startsWith("deb "));
  if (oneLine !== undefined) {
    const parts = /^deb (\[[^\]]*\] )?(\S+) \S+/.exec(oneLine);
    return { text: `deb ${parts?.[1] ?? ""}${parts?.[2] ?? ""} ${suite} main\n`, format: "list" };
  }
  const start = lines.findIndex((line) => /^\S+:/.test(line));
  const rest = lines.slice(Math.max(0, start));
  const end = rest.findIndex((line) => line.trim() === "");
  const entry = end === -1 ? rest : rest.slice(0, end);
  const fields = entry.map((line) =>
    line.startsWith("Suites:") ? `Suites: ${suite}` : line.startsWith("Components:") ? "Components: main" : line,
  );
  return { text: `${fields.join("\n")}\n`, format: "sources" };
}

async function machineSources(): Promise<string> {
  for (const path of sourcesFiles) {
    const text = await readFile(path, "utf8").catch(() => "");
    if (/^(deb |Types:)/m.test(text)) return text;
  }
  throw new Error(`no Debian sources in ${sourcesFiles.join(" or ")}: CRIU and the CNI plugins are Debian's packages`);
}

/** The suite that the machine runs. */
export async function machineSuite(): Promise<string> {
  const name = /^VERSION_CODENAME=(\S+)$/m.exec(await readFile("/etc/os-release", "utf8"))?.[1];
  if (name === undefined) throw new Error("/etc/os-release names no Debian suite (VERSION_CODENAME)");
  return name;
}

/**
 * Unpacks packages of a Debian suite into a folder, without installing anything: an apt with sources, lists, cache and status of its own.
 * With `dependencies`, whatever they need comes too, as on an empty system.
 */
export async function unpackPackages(
  target: string,
  suite: string,
  packages: readonly string[],
  { dependencies }: { readonly dependencies: boolean },
): Promise<void> {
  const apt = `${target}.apt`;
  await rm(apt, { recursive: true, force: true });
  for (const folder of ["lists/partial", "cache/archives/partial", "sources"])
    await mkdir(join(apt, folder), { recursive: true });
  const { text, format } = sourcesOf(await machineSources(), suite);
  await writeFile(join(apt, "sources", `debian.${format}`), text);
  for (const empty of ["status", "sources.list"]) await writeFile(join(apt, empty), "");
  const options = [
    `Dir::State=${apt}`,
    `Dir::State::lists=${apt}/lists`,
    `Dir::State::status=${apt}/status`,
    `Dir::Cache=${apt}/cache`,
    `Dir::Etc::sourcelist=${apt}/sources.list`,
    `Dir::Etc::sourceparts=${apt}/sources`,
    "APT::Sandbox::User=root",
    "Acquire::Languages=none",
  ].flatMap((option) => ["-o", option]);
  const archives = join(apt, "cache", "archives");
  await command("apt-get", [...options, "-qq", "update"]);
  await (dependencies
    ? command("apt-get", [
        ...options,
        "-qq",
        "--yes",
        "--download-only",
        "--no-install-recommends",
        "install",
        ...packages,
      ])
    : command("apt-get", [...options, "-qq", "download", ...packages], { cwd: archives }));
  await mkdir(target, { recursive: true });
  for (const file of await readdir(archives))
    if (file.endsWith(".deb")) await command("dpkg", ["-x", join(archives, file), target]);
  await rm(apt, { recursive: true, force: true });
}
