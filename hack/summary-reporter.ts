import type { Reporter, TestModule } from "vitest/node";

/** Prints what failed as it fails, what was skipped and why, and ends in `N passed, N failed, N skipped`. */
export class SummaryReporter implements Reporter {
  #started = 0;
  readonly #said = new Set<string>();

  onInit(): void {
    this.#started = performance.now();
  }

  /** What a file leaves out, it says in a line of its own. */
  onUserConsoleLog({ content }: { readonly content: string }): void {
    for (const line of content.split("\n")) {
      if (!line.startsWith("SKIPPED: ") || this.#said.has(line)) continue;
      this.#said.add(line);
      console.log(line);
    }
  }

  onTestModuleEnd(module: TestModule): void {
    const tests = [...module.children.allTests()];
    const failed = tests.filter((test) => test.result().state === "failed").length;
    const skipped = tests.filter((test) => test.result().state === "skipped").length;
    const mark = failed > 0 || errorsAround(module).length > 0 ? "FAIL" : "ok  ";
    const ms = Math.round(module.diagnostic().duration);
    console.log(
      `${mark} ${module.relativeModuleId} (${tests.length} tests${skipped > 0 ? `, ${skipped} skipped` : ""}, ${ms} ms)`,
    );
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    for (const module of modules) {
      for (const error of errorsAround(module)) {
        count.failed++;
        console.log(`\nFAIL ${module.relativeModuleId}\n${error.stack ?? error.message}`);
      }
      for (const test of module.children.allTests()) {
        const result = test.result();
        if (result.state === "passed") count.passed++;
        else if (result.state === "skipped") {
          count.skipped++;
          if (result.note) console.log(`skip ${module.relativeModuleId} > ${test.fullName}: ${result.note}`);
        } else {
          count.failed++;
          console.log(`\nFAIL ${module.relativeModuleId} > ${test.fullName}`);
          for (const error of result.errors ?? [])
            console.log([error.message, error.diff, error.stack].filter(Boolean).join("\n"));
        }
      }
    }
    for (const error of unhandled) {
      count.failed++;
      console.log(`\nFAIL unhandled error\n${error instanceof Error ? error.stack : JSON.stringify(error)}`);
    }
    console.log(`\n${((performance.now() - this.#started) / 1000).toFixed(1)} s`);
    console.log(
      `${count.passed} passed, ${count.failed} failed${count.skipped > 0 ? `, ${count.skipped} skipped` : ""}`,
    );
  }
}

/** Of a file and its hooks, those of groups included: where a hook fails, tests are skipped, not failed. */
const errorsAround = (module: TestModule): ReturnType<TestModule["errors"]> => [
  ...module.errors(),
  ...[...module.children.allSuites()].flatMap((suite) => suite.errors()),
];
