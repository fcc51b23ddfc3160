import { defineConfig } from "vitest/config";

/** `unit`: no process, no network beyond loopback. `real`: needs the control plane that `make kubernetes` brings. */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["packages/*/src/**/*.test.ts", "hack/**/*.test.ts"], testTimeout: 20_000 } },
      { test: { name: "external", include: ["test/external/**/*.test.ts"], testTimeout: 60_000 } },
      {
        test: {
          name: "real",
          include: ["test/e2e/**/*.test.ts", "test/conformance/**/*.test.ts"],
          testTimeout: 120_000,
          hookTimeout: 120_000,
          maxWorkers: 1,
          isolate: true,
        },
      },
    ],
  },
});
