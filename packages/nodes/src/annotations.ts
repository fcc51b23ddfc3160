import type { ObjectMeta } from "@fleetwright/kube";

/**
 * What a pod can say about its simulated life; with `.<container>` behind it, about that container's. Durations are Go's: `90s`, `1m30s`,
 * `500ms`.
 */
export const podAnnotations = {
  /** How long its containers run before they exit. Absent: a Job's for the node's default, others for ever. */
  runFor: "nodes.fleetwright.dev/run-for",
  /** With what they exit, a code or one for each run (`1,1,0`), of which the last one stays. Default 0. */
  exitCode: "nodes.fleetwright.dev/exit-code",
  /** How long they run before their startup probe succeeds. Default 0s. */
  startedAfter: "nodes.fleetwright.dev/started-after",
  /** What their readiness probe says and from when on: `ok@0s fail@30s ok@1m`. Default `ok@0s`. */
  readiness: "nodes.fleetwright.dev/readiness",
  /** When their liveness probe fails, so that they are killed: `fail@30s`. Default never. */
  liveness: "nodes.fleetwright.dev/liveness",
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

/** What a probe says from a time on, in milliseconds since its container's start. */
interface ProbeMark {
  readonly afterMs: number;
  readonly ok: boolean;
}

/** The simulated life that a container asks for. */
export interface ContainerWishes {
  /** `undefined`: for ever. */
  readonly runForMs: number | undefined;
  /** By run; the last one stays. */
  readonly exitCodes: readonly number[];
  readonly startedAfterMs: number;
  readonly readyAfterMs: number;
  readonly readiness: readonly ProbeMark[];
  /** `undefined`: never. */
  readonly killedAfterMs: number | undefined;
}

/** The simulated life that a pod asks for. */
export interface LifeWishes {
  of(container: string): ContainerWishes;
  readonly initRunForMs: number;
  readonly initExitCode: number;
  readonly stopForMs: number;
  /** Annotations that say nothing we understand; they count as absent. */
  readonly ignored: readonly string[];
}

/** Reads a pod's annotations. */
export function wishesOf(metadata: ObjectMeta, jobRunForMs: number): LifeWishes {
  const ignored: string[] = [];
  const { annotations } = metadata;
  const read = <T>(name: string, parse: (text: string) => T | undefined): T | undefined => {
    const text = annotations?.[name];
    if (text === undefined) return undefined;
    const value = parse(text);
    if (value === undefined) ignored.push(`${name}: ${JSON.stringify(text)}`);
    return value;
  };
  const ofJob = metadata.ownerReferences?.some((owner) => owner.controller === true && owner.kind === "Job") === true;
  const containerWishes = (container: string): ContainerWishes => {
    const own = <T>(name: string, parse: (text: string) => T | undefined): T | undefined => {
      const specific = `${name}.${container}`;
      return read(annotations?.[specific] === undefined ? name : specific, parse);
    };
    return {
      runForMs: own(podAnnotations.runFor, parseDuration) ?? (ofJob ? jobRunForMs : undefined),
      exitCodes: own(podAnnotations.exitCode, parseExitCodes) ?? [0],
      startedAfterMs: own(podAnnotations.startedAfter, parseDuration) ?? 0,
      readyAfterMs: own(podAnnotations.readyAfter, parseDuration) ?? 0,
      readiness: own(podAnnotations.readiness, parseMarks) ?? [],
      killedAfterMs: own(podAnnotations.liveness, parseMarks)?.find(({ ok }) => !ok)?.afterMs,
    };
  };
  const known = new Map<string, ContainerWishes>();
  const of = (container: string): ContainerWishes => {
    const wishes = known.get(container) ?? containerWishes(container);
    known.set(container, wishes);
    return wishes;
  };
  // What nobody understands is told though no container asks for it.
  of("");
  return {
    of,
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

function parseExitCodes(text: string): readonly number[] | undefined {
  const codes = text.split(",").map((part) => parseExitCode(part.trim()));
  return codes.every((code) => code !== undefined) ? codes : undefined;
}

/** `ok@0s fail@30s`, in the order of their times. */
function parseMarks(text: string): readonly ProbeMark[] | undefined {
  const marks: ProbeMark[] = [];
  for (const part of text.trim().split(/\s+/)) {
    const [, word, at = ""] = /^(ok|fail)@(.+)$/.exec(part) ?? [];
    const afterMs = parseDuration(at);
    if (word === undefined || afterMs === undefined) return undefined;
    marks.push({ ok: word === "ok", afterMs });
  }
  return marks.toSorted((left, right) => left.afterMs - right.afterMs);
}

function parseExitCode(text: string): number | undefined {
  const code = Number(text);
  return /^\d+$/.test(text) && code <= 255 ? code : undefined;
}
