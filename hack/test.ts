/**
 * `npm test [-- PROJECT…] [FILTER…]`: runs the suites (`unit`, `external`, `simulation`, `conformance`, `twin`, `real`, `node`; all but the last two by default, because
 * only these need more than Node) and ends in one line, `N passed, N failed`.
 */
import { startVitest } from "vitest/node";
import { SummaryReporter } from "./summary-reporter.ts";

const ownSuites = ["unit", "external", "simulation", "conformance", "twin"];
const known = [...ownSuites, "real", "node"];
const args = process.argv.slice(2);
const named = args.filter((arg) => known.includes(arg));
const project = named.length > 0 ? named : ownSuites;
const filters = args.filter((arg) => !known.includes(arg));

const vitest = await startVitest("test", filters, {
  watch: false,
  project,
  reporters: [new SummaryReporter()],
  passWithNoTests: false,
});
await vitest.close();
