import { defineConfig } from "vitest/config";

/** These are about the real control plane itself: its binaries and its processes. */
const realOnly = ["test/e2e/lab.test.ts", "test/e2e/kubernetes-build.test.ts"];
/** These are about the twin alone. */
const twinOnly = ["test/e2e/up-on-the-twin.test.ts"];
/** Conformance that asks whichever server the run is about. */
const eitherServer = ["test/conformance/{patch,selector,webhook}.test.ts"];

const endToEnd = { testTimeout: 120_000, hookTimeout: 120_000, maxWorkers: 1, isolate: true } as const;

/**
 * `unit`: no process, no network beyond loopback. `simulation`: whole clusters in virtual time, from seeds. `conformance`: the twin, held against recordings. `twin`: the end-to-end files on
 * the twin; what needs kube-controller-manager, kube-scheduler or kubectl is skipped where they are missing. `real`: the same
 * files on the control plane that `make kubernetes` brings, and live conformance. `node`: what needs real nodes; `make test-node` starts it where they can run.
 */
export default defineConfig({
  test: {
    projects: [
      { test: { name: "unit", include: ["packages/*/src/**/*.test.ts", "hack/**/*.test.ts"], testTimeout: 20_000 } },
      { test: { name: "external", include: ["test/external/**/*.test.ts"], testTimeout: 60_000 } },
      { test: { name: "simulation", include: ["test/simulation/**/*.test.ts"], maxWorkers: 2 } },
      { test: { name: "conformance", include: ["test/conformance/{api,controllers}/*.test.ts"], ...endToEnd } },
      {
        test: {
          name: "twin",
          include: ["test/e2e/**/*.test.ts", ...eitherServer],
          exclude: realOnly,
          env: { FLEETWRIGHT_SERVER: "twin" },
          ...endToEnd,
        },
      },
      { test: { name: "node", include: ["test/node/**/*.test.ts"], ...endToEnd } },
      {
        test: {
          name: "real",
          include: ["test/e2e/**/*.test.ts", "test/conformance/*.test.ts"],
          exclude: twinOnly,
          ...endToEnd,
        },
      },
    ],
  },
});
