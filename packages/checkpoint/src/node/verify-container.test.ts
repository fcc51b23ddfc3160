import { VirtualClock } from "@fleetwright/kube";
import { expect, it } from "vitest";
import { fakeImages } from "../core/inspect/fake-images.ts";
import type { LiveContainer, LiveProcess } from "./containers.ts";
import { verifyContainer } from "./verify-container.ts";

const images = fakeImages([
  { pid: 1, ppid: 0, comm: "sh", stack: "0x7000" },
  { pid: 7, ppid: 1, comm: "sleep", stack: "0x8000" },
  { pid: 8, ppid: 1, comm: "tee", stack: "0x9000" },
]);
const process = (pid: number, command: string, stackStart: string): LiveProcess => ({
  hostPid: 1000 + pid,
  pid,
  parentHostPid: 1,
  command,
  stackStart,
  argumentsStart: "0x2000",
  residentBytes: 0,
  openFiles: [],
});
const shell = process(1, "sh", "0x7000");
const sleeping = process(17, "sleep", "0x8100");
const tee = process(18, "tee", "0x9100");

/** Each look finds what comes next; the last one stays. */
async function verify(...found: readonly (readonly LiveProcess[])[]) {
  const clock = new VirtualClock();
  let looks = 0;
  const look = async (): Promise<LiveContainer> => {
    const processes = found[Math.min(looks++, found.length - 1)] ?? [];
    return { id: "a", processes, residentBytes: 0, checkpointing: false, tcp: [] };
  };
  const verifying = verifyContainer(images, look, clock);
  await clock.advance(5_000);
  return { ...(await verifying), looks };
}

it("looks once at what is as it was saved", async () => {
  expect(await verify([shell, sleeping, tee])).toEqual({ running: true, differences: [], looks: 1 });
});

it.each([
  [
    "between two commands",
    [
      [shell, tee],
      [shell, sleeping, tee],
    ],
  ],
  ["whose commands are never seen together", [[shell], [shell, tee], [shell], [shell, sleeping]]],
])("looks again at a shell %s", async (_, found) => {
  expect(await verify(...found)).toEqual({ running: true, differences: [], looks: found.length });
});

it.each([
  ["a command that does not come back", [[shell, tee]], true, 'process 7, "sleep" in the checkpoint, is not there'],
  ["a container that ends meanwhile", [[shell], []], false, 'process 1, "sh" in the checkpoint, is not there'],
  [
    "a program that began anew",
    [[process(1, "sh", "0x7100"), sleeping, tee]],
    true,
    'process 1, "sh", has its stack at 0x7100, not at 0x7000: it began anew',
  ],
])("says no to %s", async (_, found, running, message) => {
  const verified = await verify(...found);
  expect(verified).toMatchObject({ running, looks: 10 });
  expect(verified.differences.map((each) => each.message)).toContain(message);
});
