#!/usr/bin/env node
import { text } from "node:stream/consumers";
import { createLogger, systemClock, systemRandom, type LogLevel } from "@fleetwright/kube";
import { commands } from "./commands.ts";
import { runProgram } from "./program.ts";
import { version } from "./version.ts";

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => stopping.abort(new Error(name)));
}

process.exitCode = await runProgram(
  commands,
  process.argv.slice(2),
  {
    stdout: (line) => process.stdout.write(line),
    stderr: (line) => process.stderr.write(line),
    stdin: () => text(process.stdin),
    env: process.env,
    clock: systemClock,
    random: systemRandom,
    createLogger: (level) => createLogger({ level: level as LogLevel }),
    signal: stopping.signal,
  },
  version,
);
