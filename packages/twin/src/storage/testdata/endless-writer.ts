/** Writes without end and says on stdout, a line each, what has been acknowledged; a test kills it. */
import { writeSync } from "node:fs";
import { systemClock } from "@fleetwright/kube";
import { openStateStore } from "../state-store.ts";

const store = await openStateStore({ directory: process.argv[2] ?? "", clock: systemClock });

async function write(writer: number): Promise<void> {
  for (let round = 0; ; round++) {
    const key = `space/${writer}-${round % 20}`;
    const current = store.get("things", key);
    const version = store.write({
      collection: "things",
      key,
      expected: current?.revision ?? 0,
      delete: current !== undefined && round % 7 === 0,
      make: (revision) => ({ object: { revision, data: "x".repeat(round % 3000) } }),
    });
    await store.durable(version.revision);
    writeSync(1, `${version.revision} ${key}\n`);
    if (writer === 0 && round % 50 === 0) store.compact(store.revision - 100);
  }
}

await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
