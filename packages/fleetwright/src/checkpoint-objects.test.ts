import { waitingForManager } from "@fleetwright/api";
import type { CheckpointObject } from "@fleetwright/checkpoint";
import { seededRandom, silentLogger, VirtualClock, type Client } from "@fleetwright/kube";
import { expect, it } from "vitest";
import { takeCheckpoint } from "./checkpoint-objects.ts";

it("tells what a checkpoint waits for while it waits, and when nobody looks after it", async () => {
  const clock = new VirtualClock();
  let told = "";
  const pending = (message: string): CheckpointObject["status"] => ({
    phase: "Pending",
    conditions: [
      { type: "Ready", status: "Unknown", reason: "Pending", message, lastTransitionTime: "2030-01-01T00:00:00Z" },
    ],
  });
  const object: { -readonly [Key in keyof CheckpointObject]: CheckpointObject[Key] } = {
    metadata: { name: "web" },
    spec: { podName: "web" },
    // As the server answers until a manager does.
    status: { phase: "Pending", conditions: [waitingForManager] },
  };
  const client = {
    create: () => Promise.resolve(object),
    get: () => Promise.resolve({ ...object }),
  } as unknown as Client;
  const taking = takeCheckpoint(
    {
      stdout: () => undefined,
      stderr: (text) => void (told += text),
      stdin: () => Promise.resolve(""),
      env: {},
      clock,
      random: seededRandom(1),
      createLogger: () => silentLogger,
      signal: new AbortController().signal,
    },
    client,
    { namespace: "default", name: "web", trigger: "manual", spec: object.spec, waitMs: 60_000 },
  );
  const end = taking.then(
    () => "taken",
    (error: unknown) => String(error),
  );
  await clock.advance(15_000);
  object.status = pending("the agent does not answer");
  await clock.advance(60_000);
  expect(await end).toMatch(/checkpoint\/web is Pending after 60 s/);
  expect(told.split("\n")).toEqual([
    "checkpoint/web: Pending …",
    "checkpoint/web: nobody looks after it: see that a manager runs with --agent-cert-dir",
    "checkpoint/web: Pending: the agent does not answer …",
    "",
  ]);
});
