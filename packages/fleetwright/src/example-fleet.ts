import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { FleetwrightError } from "@fleetwright/kube";
import type { NodePool } from "@fleetwright/nodes";

/** The fleet of `up`: 24 nodes, 160 GPUs of three models. */
export const exampleFleet: readonly NodePool[] = [
  { name: "h200", count: 8, cpu: "192", memory: "2Ti", gpu: { product: "NVIDIA-H200", count: 8, memoryMiB: 143_771 } },
  {
    name: "a100",
    count: 8,
    cpu: "128",
    memory: "1Ti",
    gpu: { product: "NVIDIA-A100-SXM4-80GB", count: 8, memoryMiB: 81_920 },
  },
  { name: "a30", count: 8, cpu: "64", memory: "512Gi", gpu: { product: "NVIDIA-A30", count: 4, memoryMiB: 24_576 } },
];

/** `examples/quickstart`, beside the bundle or at the root of the sources. */
export function exampleDirectory(): string {
  const candidates = ["./examples/quickstart/", "../../../examples/quickstart/"].map((path) =>
    fileURLToPath(new URL(path, import.meta.url)),
  );
  const found = candidates.find((path) => existsSync(path));
  if (found === undefined)
    throw new FleetwrightError(
      "FW_EXAMPLE_MISSING",
      `the example is not installed: looked for ${candidates.join(" and ")}`,
    );
  return found;
}
