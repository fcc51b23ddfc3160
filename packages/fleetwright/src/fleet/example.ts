import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FleetwrightError } from "@fleetwright/kube";

/** `examples/quickstart/fleet.yaml`, beside the bundle or at the root of the sources. */
export function exampleFleetFile(): string {
  const candidates = ["./examples/quickstart/", "../../../../examples/quickstart/"].map((path) =>
    fileURLToPath(new URL(`${path}fleet.yaml`, import.meta.url)),
  );
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw new FleetwrightError(
      "FW_EXAMPLE_MISSING",
      `the example is not installed: looked for ${candidates.join(" and ")}`,
    );
  return found;
}
