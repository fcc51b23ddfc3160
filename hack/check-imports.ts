/** `npm run imports`: holds every import against the table in `import-rules.ts`. */
import { readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { parseSync } from "oxc-parser";
import { violation } from "./import-rules.ts";

const files = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "--deduplicate", "*.ts", "*.tsx"], {
  encoding: "utf8",
})
  .split("\n")
  .filter((file) => file !== "");
let broken = 0;
for (const file of files) {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch {
    continue; // listed by git, deleted in the working tree
  }
  const { module } = parseSync(file, text);
  const specifiers = [
    ...module.staticImports.map((statement) => ({ value: statement.moduleRequest.value, start: statement.start })),
    ...module.staticExports.flatMap((statement) =>
      statement.entries.flatMap((entry) =>
        entry.moduleRequest ? [{ value: entry.moduleRequest.value, start: statement.start }] : [],
      ),
    ),
    ...module.dynamicImports.map((statement) => ({
      value: text.slice(statement.moduleRequest.start, statement.moduleRequest.end).replace(/^["'`]|["'`]$/g, ""),
      start: statement.start,
    })),
  ];
  for (const { value, start } of specifiers) {
    const line = text.slice(0, start).split("\n").length;
    const message = violation({ file, specifier: value, line });
    if (message) {
      broken++;
      console.error(`${file}:${line}: ${message}`);
    }
  }
}
if (broken > 0) process.exitCode = 1;
else console.log(`imports: ${files.length} files keep to the table`);
