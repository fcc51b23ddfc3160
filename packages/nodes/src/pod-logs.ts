import { FleetwrightError, sleep } from "@fleetwright/kube";
import type { Clock, ContainerState, ContainerStatus, Pod } from "@fleetwright/kube";
import { podAnnotations } from "./annotations.ts";

export interface PodLogOptions {
  /** @default the only one */
  readonly container?: string;
  readonly follow?: boolean;
  readonly previous?: boolean;
  readonly timestamps?: boolean;
  readonly tailLines?: number;
  readonly sinceSeconds?: number;
  /** RFC 3339 */
  readonly sinceTime?: string;
  readonly limitBytes?: number;
}

interface Line {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly text: string;
}

/** One scripted line a second. */
const lineEveryMs = 1_000;
const pollMs = 500;

/** The kubelet has nothing to say (yet): `message` is its word for it. */
export class NoLogs extends FleetwrightError {
  constructor(message: string) {
    super("FW_NODES_LOGS", message);
    this.name = "NoLogs";
  }
}

function statusOf(pod: Pod, container: string): ContainerStatus | undefined {
  const { containerStatuses = [], initContainerStatuses = [] } = pod.status ?? {};
  return [...containerStatuses, ...initContainerStatuses].find(({ name }) => name === container);
}

/** What a container has written by now: that it started, its script, and how it ended. */
function linesOf(pod: Pod, container: string, state: ContainerState | undefined, now: number): readonly Line[] {
  const startedAt = state?.running?.startedAt ?? state?.terminated?.startedAt;
  if (startedAt === undefined) return [];
  const start = Date.parse(startedAt);
  const end = state?.terminated?.finishedAt === undefined ? now : Date.parse(state.terminated.finishedAt);
  const image =
    [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])].find(({ name }) => name === container)
      ?.image ?? "";
  const { annotations = {} } = pod.metadata;
  const script = annotations[`${podAnnotations.logs}.${container}`] ?? annotations[podAnnotations.logs] ?? "";
  const scripted = script === "" ? [] : script.replace(/\n$/, "").split("\n");
  const lines = [`simulated container ${container} (${image}) started`, ...scripted].map((text, index): Line => ({
    at: start + index * lineEveryMs,
    text,
  }));
  const { terminated } = state ?? {};
  const written = lines.filter(({ at }) => at <= end);
  if (terminated !== undefined)
    written.push({ at: end, text: `simulated container ${container} exited with code ${terminated.exitCode ?? 0}` });
  return written;
}

/**
 * A container's log, as its kubelet would serve it.
 *
 * @param current the pod as it is now; `undefined`: gone
 * @throws NoLogs in the kubelet's words when the container has not started or never ran before
 */
export async function* podLogs(
  current: () => Pod | undefined,
  options: PodLogOptions,
  clock: Clock,
  signal?: AbortSignal,
): AsyncGenerator<string> {
  const pod = current();
  if (pod === undefined) throw new NoLogs("the pod is gone");
  const container = options.container ?? pod.spec?.containers[0]?.name ?? "";
  const stateOf = (now: Pod): ContainerState | undefined => {
    const status = statusOf(now, container);
    return options.previous === true ? status?.lastState : status?.state;
  };
  const state = stateOf(pod);
  const { name = "" } = pod.metadata;
  if (options.previous === true && state?.terminated === undefined) {
    throw new NoLogs(
      `previous terminated container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} not found`,
    );
  }
  if (state?.running === undefined && state?.terminated === undefined) {
    const reason = state?.waiting?.reason ?? "ContainerCreating";
    throw new NoLogs(
      `container ${JSON.stringify(container)} in pod ${JSON.stringify(name)} is waiting to start: ${reason}`,
    );
  }
  const since = sinceOf(options, clock.now());
  const chosen = linesOf(pod, container, state, clock.now()).filter(({ at }) => at >= since);
  let bytes = options.limitBytes ?? Number.POSITIVE_INFINITY;
  const { tailLines } = options;
  let last = 0;
  for (const line of tailLines === undefined ? chosen : chosen.slice(Math.max(0, chosen.length - tailLines))) {
    const text = textOf(line, options).slice(0, bytes);
    bytes -= text.length;
    last = line.at;
    if (text !== "") yield text;
  }
  if (options.follow !== true || options.previous === true) return;
  let seen = linesOf(pod, container, state, clock.now()).length;
  last = Math.max(last, clock.now());
  for (;;) {
    const now = current();
    const next = now === undefined || now.metadata.uid !== pod.metadata.uid ? undefined : stateOf(now);
    if (now === undefined || next === undefined) return;
    const lines = linesOf(now, container, next, clock.now());
    for (const line of lines.slice(seen)) yield textOf(line, options);
    seen = Math.max(seen, lines.length);
    if (next.terminated !== undefined) return;
    await sleep(clock, pollMs, signal);
  }
}

function sinceOf({ sinceSeconds, sinceTime }: PodLogOptions, now: number): number {
  if (sinceSeconds !== undefined) return now - sinceSeconds * 1000;
  return sinceTime === undefined ? 0 : Date.parse(sinceTime);
}

const textOf = ({ at, text }: Line, { timestamps }: PodLogOptions): string =>
  timestamps === true ? `${new Date(at).toISOString().replace("Z", "000000Z")} ${text}\n` : `${text}\n`;
