import { isUnattended, type Condition } from "@fleetwright/api";
import { checkpoints, isDone, restores, type CheckpointObject, type RestoreObject } from "@fleetwright/checkpoint";
import { FleetwrightError, isNotFound, sleep, type Client } from "@fleetwright/kube";
import { clusterOptions, duration, outputOption, text, type CommandContext } from "./command.ts";

/** Options of every command that works with Checkpoints of a cluster. */
export const checkpointOptions = {
  ...clusterOptions,
  namespace: text("-n, --namespace <name>", "namespace of the pod and its checkpoints", "default"),
  output: outputOption,
};

/** Options of those that wait for an end. */
export const waitOptions = {
  ...checkpointOptions,
  wait: duration("--wait <duration>", "how long to wait for the end; 0s returns at once", 600_000),
};

const pollMs = 250;
/** A manager that looks after checkpoints writes a status at once. */
const unseenMs = 10_000;

/** `server-x7k2q`: where the user gave no name. */
export const freshName = (context: CommandContext, base: string): string =>
  `${base.slice(0, 240)}-${Array.from({ length: 5 }, () => "bcdfghjklmnpqrstvwxz2456789"[Math.floor(context.random.next() * 27)] ?? "x").join("")}`;

interface Ends {
  readonly status?: {
    readonly phase?: string;
    readonly conditions?: readonly Condition[];
  };
}

async function untilEnd<T extends Ends>(
  context: CommandContext,
  read: () => Promise<T>,
  ended: readonly string[],
  waitMs: number,
  what: string,
): Promise<T> {
  const began = context.clock.now();
  let said: string | undefined;
  let saidUnseen = false;
  for (;;) {
    const object = await read();
    const phase = object.status?.phase ?? "Pending";
    if (ended.includes(phase) || waitMs === 0) return object;
    const unseen = isUnattended(object.status?.conditions);
    const why = unseen ? undefined : object.status?.conditions?.find(({ type }) => type === "Ready")?.message;
    const state = why === undefined ? phase : `${phase}: ${why}`;
    if (state !== said) context.stderr(`${what}: ${state} …\n`);
    said = state;
    const waited = context.clock.now() - began;
    if (unseen && waited > unseenMs && !saidUnseen) {
      saidUnseen = true;
      context.stderr(`${what}: nobody looks after it: see that a manager runs with --agent-cert-dir\n`);
    }
    if (waited > waitMs)
      throw new FleetwrightError(
        "FW_CHECKPOINT_WAIT",
        `${what} is ${phase} after ${waitMs / 1000} s; it goes on: kubectl describe says how far it is`,
      );
    await sleep(context.clock, pollMs, context.signal);
  }
}

const untilTaken = (
  context: CommandContext,
  client: Client,
  namespace: string,
  name: string,
  waitMs: number,
): Promise<CheckpointObject> =>
  untilEnd(
    context,
    () => client.get(checkpoints, { namespace, name }),
    ["Completed", "Failed"],
    waitMs,
    `checkpoint/${name}`,
  );

const untilRestored = (
  context: CommandContext,
  client: Client,
  namespace: string,
  name: string,
  waitMs: number,
): Promise<RestoreObject> =>
  untilEnd(
    context,
    () => client.get(restores, { namespace, name }),
    ["Succeeded", "Failed"],
    waitMs,
    `checkpointrestore/${name}`,
  );

/** What a Checkpoint or a restore says of itself, and each verdict with what to do. */
export function storyOf({ kind = "", metadata, status }: CheckpointObject | RestoreObject): string {
  const ready = status?.conditions?.find(({ type }) => type === "Ready");
  const lines = [
    `${kind.toLowerCase()}/${metadata.name}: ${status?.phase ?? "Pending"}${ready ? `: ${ready.message}` : ""}`,
  ];
  for (const { severity, code, message, action } of status?.verdicts ?? [])
    lines.push(`  ${severity} ${code}: ${message}${action ? `\n    → ${action}` : ""}`);
  return `${lines.join("\n")}\n`;
}

/** A Checkpoint by its name, or the newest that is whole of `pod/NAME`. */
export async function findCheckpoint(client: Client, namespace: string, name: string): Promise<CheckpointObject> {
  const missing = (what: string): FleetwrightError =>
    new FleetwrightError(
      "FW_CHECKPOINT_NOT_FOUND",
      `${what} in namespace "${namespace}"; "fleetwright checkpoint list" shows what there is`,
    );
  if (!name.startsWith("pod/"))
    try {
      return await client.get(checkpoints, { namespace, name });
    } catch (error) {
      throw isNotFound(error) ? missing(`there is no Checkpoint "${name}"`) : error;
    }
  const pod = name.slice("pod/".length);
  const { items } = await client.list(checkpoints, { namespace });
  const whole = items.filter((checkpoint) => checkpoint.spec.podName === pod && isDone(checkpoint));
  const [newest] = whole.toSorted(
    (a, b) => Date.parse(b.status?.completionTime ?? "") - Date.parse(a.status?.completionTime ?? ""),
  );
  if (newest === undefined) throw missing(`pod "${pod}" has no checkpoint that is whole`);
  return newest;
}

/** Makes a Checkpoint of a pod and waits for its end. */
export async function takeCheckpoint(
  context: CommandContext,
  client: Client,
  of: {
    readonly namespace: string;
    readonly name: string;
    readonly trigger: string;
    readonly spec: CheckpointObject["spec"];
    readonly waitMs: number;
  },
): Promise<CheckpointObject> {
  const { namespace, name, trigger, spec, waitMs } = of;
  const metadata = { namespace, name, labels: { "fleetwright.dev/checkpoint-trigger": trigger } };
  await client.create(
    checkpoints,
    { apiVersion: "fleetwright.dev/v1alpha1", kind: "Checkpoint", metadata, spec },
    { signal: context.signal },
  );
  return untilTaken(context, client, namespace, name, waitMs);
}

/** Makes a CheckpointRestore and waits for its end. */
export async function makeRestore(
  context: CommandContext,
  client: Client,
  of: {
    readonly namespace: string;
    readonly name: string;
    readonly spec: RestoreObject["spec"];
    readonly waitMs: number;
  },
): Promise<RestoreObject> {
  const { namespace, name, spec, waitMs } = of;
  const metadata = { namespace, name, labels: { "fleetwright.dev/restore-trigger": "manual" } };
  await client.create(
    restores,
    { apiVersion: "fleetwright.dev/v1alpha1", kind: "CheckpointRestore", metadata, spec },
    { signal: context.signal },
  );
  return untilRestored(context, client, namespace, name, waitMs);
}
