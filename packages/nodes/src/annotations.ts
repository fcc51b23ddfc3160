import type { ObjectMeta } from "@fleetwright/kube";

/** What a pod can say about its simulated life. Durations are Go's: `90s`, `1m30s`, `500ms`. */
export const podAnnotations = {
  /** How long its containers run before they exit. Absent: a Job's for the node's default, others for ever. */
  runFor: "nodes.fleetwright.dev/run-for",
  /** With what they exit. Default 0. */
  exitCode: "nodes.fleetwright.dev/exit-code",
  /** How long they run before they are ready. Default 0s. */
  readyAfter: "nodes.fleetwright.dev/ready-after",
  /** How long each init container runs. Default 0s. */
  initRunFor: "nodes.fleetwright.dev/init-run-for",
  /** With what the first init container exits. Default 0. */
  initExitCode: "nodes.fleetwright.dev/init-exit-code",
  /** What they write, a line a second from their start; with `.<container>` behind it, that container's. */
  logs: "nodes.fleetwright.dev/logs",
  /** How long they take to end when the pod is deleted, at most its grace period. Default 0s. */
  stopFor: "nodes.fleetwright.dev/stop-for",
} as const;

/** The simulated life that a pod asks for. */
export interface LifeWishes {
  /** `undefined`: for ever. */
  readonly runForMs: number | undefined;
  readonly exitCode: number;
  readonly readyAfterMs: number;
  readonly initRunForMs: number;
  readonly initExitCode: number;
  readonly stopForMs: number;
  /** Annotations that say nothing we understand; they count as absent. */
  readonly ignored: readonly string[];
}

/** Reads a pod's annotations. */
export function wishesOf(metadata: ObjectMeta, jobRunForMs: number): LifeWishes {
  const ignored: string[] = [];
  const read = <T>(name: string, parse: (text: string) => T | undefined): T | undefined => {
    const text = metadata.annotations?.[name];
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) ignored.push(`${name}: ${JSON.stringify(text)}`);
    return value;
  };
  const ofJob = metadata.ownerReferences?.some((owner) => owner.controller === true && owner.kind === "Job") === true;
  return {
    runForMs: read(podAnnotations.runFor, parseDuration) ?? (ofJob ? jobRunForMs : undefined),
    exitCode: read(podAnnotations.exitCode, parseExitCode) ?? 0,
    readyAfterMs: read(podAnnotations.readyAfter, parseDuration) ?? 0,
    initRunForMs: read(podAnnotations.initRunFor, parseDuration) ?? 0,
    initExitCode: read(podAnnotations.initExitCode, parseExitCode) ?? 0,
    stopForMs: read(podAnnotations.stopFor, parseDuration) ?? 0,
    ignored,
  };
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/** A Go duration in milliseconds; `undefined` when it is none, or negative. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!/^(\d+(\.\d+)?(ms|s|m|h))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    total += Number(amount) * (unitMs[unit ?? ""] ?? 0);
  return total;
}

function parseExitCode(text: string): number | undefined {
  const code = Number(text);
  return /^\d+$/.test(text) && code <= 255 ? code : undefined;
}
