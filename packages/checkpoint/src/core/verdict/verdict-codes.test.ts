import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { verdictCodes } from "./verdict-codes.ts";

it("docs/checkpoint-verdicts.md has the same table", () => {
  const page = readFileSync(new URL("../../../../../docs/checkpoint-verdicts.md", import.meta.url), "utf8");
  const rows = page.split("\n").filter((line) => line.startsWith("| `"));
  expect(rows).toEqual(
    Object.entries(verdictCodes).map(
      ([code, { severity, cause, action }]) => `| \`${code}\` | ${severity} | ${cause} | ${action} |`,
    ),
  );
});
