import { expect, it } from "vitest";
import { type LogFields, type Logger, silentLogger } from "../core/logger.ts";
import { parseWarnings, warnOnce } from "./warnings.ts";

it.each([
  ['299 - "deprecated"', ["deprecated"]],
  ['299 - "one", 299 k8s "two, with a comma"', ["one", "two, with a comma"]],
  ['299 - "say \\"yes\\"" "Sat, 21 Nov 2026 00:00:00 GMT"', ['say "yes"']],
  ['110 - "a cache\'s"', []],
  ["nonsense", []],
  [Buffer.from('299 - "größer"').toString("latin1"), ["größer"]],
])("reads %s", (header, expected) => {
  expect(parseWarnings(header)).toEqual(expected);
});

it("logs each text once, without the query", () => {
  const logged: LogFields[] = [];
  const logger: Logger = { ...silentLogger, warn: (fields) => logged.push(fields) };
  const warn = warnOnce(logger);
  for (const text of ["a", "b", "a"]) warn(text, { method: "GET", path: "/api/v1/pods?limit=1" });
  expect(logged).toEqual([
    { warning: "a", method: "GET", path: "/api/v1/pods" },
    { warning: "b", method: "GET", path: "/api/v1/pods" },
  ]);
});
