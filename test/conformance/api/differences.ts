import type { ExplainedDifference } from "./compare.ts";

/** Where the twin differs and why it may: each id has its row in docs/twin-differences.md. */
export const explainedDifferences: readonly ExplainedDifference[] = [
  {
    id: "aggregated-roles",
    scenarios: ["access/the roles of the start are there"],
    paths: /^\[\d\]\.body\.rules$/,
  },
  { id: "explain", scenarios: ["kubectl/explain"], paths: /^\[\d\]\.stdout$/ },
  {
    id: "yaml-texts",
    scenarios: ["bad-types/a YAML body is read, and answered as asked"],
    paths: /^\[\d\]\.body\.message$/,
  },
];
