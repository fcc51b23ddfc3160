/**
 * `npm test [-- PROJECT…] [FILTER…]`: runs the suites (`unit`, `external`, `real`; all by default) and ends in one line,
 * `N passed, N failed`.
 */
import { startVitest } from "vitest/node";
import { SummaryReporter } from "./summary-reporter.ts";

const known = ["unit", "external", "real"];
const args = process.argv.slice(2);
const project = args.filter((arg) => known.includes(arg));
const filters = args.filter((arg) => !known.includes(arg));

const vitest = await startVitest("test", filters, {
  watch: false,
  ...(project.length > 0 ? { project } : {}),
  reporters: [new SummaryReporter()],
  passWithNoTests: false,
});
await vitest.close();
