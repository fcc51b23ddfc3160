import { expect, it } from "vitest";
import { formatOutput } from "./output.ts";

it("quotes in YAML what kubectl would read as something else", () => {
  const data = { args: ["yes", "off", "1:20", "2030-01-01T00:00:00Z", "plain"], replicas: 3, isPaused: true };
  expect(formatOutput("yaml", data, () => "")).toBe(
    'args:\n  - "yes"\n  - "off"\n  - "1:20"\n  - "2030-01-01T00:00:00Z"\n  - plain\nreplicas: 3\nisPaused: true\n',
  );
});
