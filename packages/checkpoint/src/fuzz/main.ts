/** `make fuzz-checkpoint` (CASES=1000000, SEED=1): ends in a line `N passed, N failed`. */
import { fuzzCheckpoint } from "./fuzz-checkpoint.ts";

const cases = Number(process.env["CASES"] || 1_000_000);
const seed = Number(process.env["SEED"] || 1);
console.log(`seed ${seed}, ${cases} cases`);
const result = await fuzzCheckpoint({
  seed,
  cases,
  onProgress: (done) => {
    if (done % 100_000 === 0) console.log(`${done} cases`);
  },
});
for (const failure of result.failures.slice(0, 20))
  console.log(`case ${failure.case} (${failure.kind}): ${failure.message}`);
for (const [outcome, count] of Object.entries(result.outcomes).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  console.log(`${count} × ${outcome}`);
console.log(
  `slowest ${result.slowestMs.toFixed(1)} ms, ${Math.round(result.peakResidentBytes / 2 ** 20)} MiB resident at most`,
);
console.log(`${result.cases - result.failures.length} passed, ${result.failures.length} failed`);
if (result.failures.length > 0) process.exitCode = 1;
