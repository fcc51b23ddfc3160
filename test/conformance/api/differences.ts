import type { ExplainedDifference } from "./compare.ts";

/** Where the twin differs and why it may: each id has its row in docs/twin-differences.md. */
export const explainedDifferences: readonly ExplainedDifference[] = [];
