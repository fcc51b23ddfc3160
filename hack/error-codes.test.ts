import { readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { expect, it } from "vitest";

const codesIn = (text: string): string[] =>
  [...text.matchAll(/\bFW_[A-Z][A-Z0-9_]*[A-Z0-9]\b/g)].map((match) => match[0]);

it("every error code in the sources is in docs/errors.md, and no other", () => {
  const files = execFileSync(
    "git",
    ["ls-files", "-co", "--exclude-standard", "--deduplicate", "packages/*/src/**/*.ts", "packages/*/src/*.ts"],
    {
      encoding: "utf8",
    },
  )
    .split("\n")
    .filter((file) => file !== "" && !file.endsWith(".test.ts"));
  const inSources = new Set(files.flatMap((file) => codesIn(readFileSync(file, "utf8"))));
  const documented = new Set(
    readFileSync("docs/errors.md", "utf8")
      .split("\n")
      .flatMap((line) => /^\| `(FW_[A-Z0-9_]+)` \|/.exec(line)?.[1] ?? []),
  );
  expect([...documented].toSorted()).toEqual([...inSources].toSorted());
});
