/** `npm run test:node [-- FILTER…]`: the suites that need real nodes, in namespaces of their own; says plainly why when they cannot run here. */
import { fileURLToPath } from "node:url";
import { nodeProblem, runInNodeNamespace } from "@fleetwright/lab";

const suite = [fileURLToPath(new URL("test.ts", import.meta.url)), "node", ...process.argv.slice(2)];
const problem = nodeProblem();
if (problem === undefined) process.exitCode = await runInNodeNamespace(process.execPath, suite);
else {
  console.log(`skipped: ${problem}`);
  console.log("0 passed, 0 failed");
}
