import {
  FlowSchemas,
  PriorityLevelConfigurations,
  type Clock,
  type FlowSchema,
  type PriorityLevelConfiguration,
  type UserInfo,
} from "@fleetwright/kube";
import type { RequestInfo, ServerAccess } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { serviceAccountOf } from "./user.ts";

/** A request's place in the server. `done` gives it back; calling it again does nothing. */
interface Turn {
  readonly headers: Readonly<Record<string, string>>;
  done(): void;
}

export interface FlowControlOptions {
  readonly server: Pick<ServerAccess, "objects">;
  readonly clock: Clock;
  /** Requests that run at a time, all levels together. @default 600, as 400 readonly and 200 mutating */
  readonly limits?: { readonly seats?: number; readonly queueTimeoutMs?: number };
}

export interface FlowControl {
  /** Waits for a seat. Rejects with 429 when the level is full, or with the signal's reason. */
  begin(user: UserInfo, info: RequestInfo, signal?: AbortSignal): Promise<Turn>;
}

interface Waiting {
  readonly flow: string;
  start(): void;
}

interface Level {
  readonly uid: string;
  readonly exempt: boolean;
  readonly seats: number;
  readonly rejects: boolean;
  /** Of the whole level: queues times their length. */
  readonly maxWaiting: number;
  /** For one flow: its hand of queues. */
  readonly maxWaitingOfFlow: number;
}

/** Runs on while configurations change: keyed by the level's name. */
interface LevelState {
  running: number;
  readonly waiting: Waiting[];
  readonly waitingOf: Map<string, number>;
}

interface Configuration {
  readonly schemas: readonly FlowSchema[];
  readonly levels: ReadonlyMap<string, Level>;
}

const matchesAny = (items: readonly string[] | undefined, value: string): boolean =>
  (items ?? []).some((item) => item === "*" || item === value);

type Rule = NonNullable<NonNullable<FlowSchema["spec"]>["rules"]>[number];

function subjectMatches(subject: Rule["subjects"][number], user: UserInfo): boolean {
  switch (subject.kind) {
    case "User":
      return subject.user?.name === "*" || subject.user?.name === user.username;
    case "Group":
      return subject.group?.name === "*" || (user.groups ?? []).includes(subject.group?.name ?? "");
    case "ServiceAccount": {
      const account = serviceAccountOf(user.username ?? "");
      if (account === undefined || account.namespace !== subject.serviceAccount?.namespace) return false;
      return subject.serviceAccount.name === "*" || subject.serviceAccount.name === account.name;
    }
    default:
      return false;
  }
}

/** apiserver/pkg/util/flowcontrol/rule.go */
function ruleMatches(rule: Rule, user: UserInfo, info: RequestInfo): boolean {
  if (!rule.subjects.some((subject) => subjectMatches(subject, user))) return false;
  if (!info.isResource) {
    return (rule.nonResourceRules ?? []).some(
      ({ verbs, nonResourceURLs }) =>
        matchesAny(verbs, info.verb) &&
        nonResourceURLs.some(
          (url) => url === "*" || url === info.path || (url.endsWith("*") && info.path.startsWith(url.slice(0, -1))),
        ),
    );
  }
  const resource = info.subresource === "" ? info.resource : `${info.resource}/${info.subresource}`;
  return (rule.resourceRules ?? []).some(
    ({ verbs, apiGroups, resources, namespaces, clusterScope }) =>
      matchesAny(verbs, info.verb) &&
      matchesAny(apiGroups, info.group) &&
      matchesAny(resources, resource) &&
      (info.namespace === "" ? clusterScope === true : matchesAny(namespaces, info.namespace)),
  );
}

/** Each level's share of the seats (KEP-1040). */
function levelOf(configuration: PriorityLevelConfiguration, totalShares: number, seats: number): Level {
  const { spec, metadata } = configuration;
  const limited = spec?.limited;
  const queuing = limited?.limitResponse?.queuing;
  const { queues = 64, handSize = 8, queueLengthLimit = 50 } = queuing ?? {};
  const shares = limited?.nominalConcurrencyShares ?? 30;
  return {
    uid: metadata.uid ?? "",
    exempt: spec?.type === "Exempt",
    seats: Math.max(1, Math.ceil((seats * shares) / Math.max(1, totalShares))),
    rejects: limited?.limitResponse?.type === "Reject",
    maxWaiting: queues * queueLengthLimit,
    maxWaitingOfFlow: handSize * queueLengthLimit,
  };
}

/**
 * API priority and fairness as users see it: who comes first, how many wait, and 429 for those that cannot. Seats are not
 * borrowed between levels, and a level serves its flows in the order of arrival.
 */
export function createFlowControl(options: FlowControlOptions): FlowControl {
  const { server, clock } = options;
  const { objects } = server;
  const seats = options.limits?.seats ?? 600;
  const queueTimeoutMs = options.limits?.queueTimeoutMs ?? 15_000;
  const states = new Map<string, LevelState>();
  let seen = "";
  let configuration: Configuration = { schemas: [], levels: new Map() };

  function configurationNow(): Configuration {
    const revision = `${objects.revisionOf(FlowSchemas)}:${objects.revisionOf(PriorityLevelConfigurations)}`;
    if (revision === seen) return configuration;
    const levels = objects.list(PriorityLevelConfigurations);
    const total = levels.reduce((sum, { spec }) => sum + (spec?.limited?.nominalConcurrencyShares ?? 0), 0);
    const precedence = (schema: FlowSchema): number => schema.spec?.matchingPrecedence ?? 1000;
    configuration = {
      // The list comes ordered by name, which decides between equals.
      schemas: objects.list(FlowSchemas).toSorted((left, right) => precedence(left) - precedence(right)),
      levels: new Map(levels.map((level) => [level.metadata.name ?? "", levelOf(level, total, seats)])),
    };
    seen = revision;
    return configuration;
  }

  function stateOf(name: string): LevelState {
    let state = states.get(name);
    if (state === undefined) {
      state = { running: 0, waiting: [], waitingOf: new Map() };
      states.set(name, state);
    }
    return state;
  }

  const flowOf = (schema: FlowSchema, user: UserInfo, info: RequestInfo): string => {
    const by = schema.spec?.distinguisherMethod?.type;
    const distinguisher = by === "ByUser" ? (user.username ?? "") : by === "ByNamespace" ? info.namespace : "";
    return `${schema.metadata.name}\n${distinguisher}`;
  };

  const tooMany = (): Error => refusals.tooManyRequests("too many requests, please try again later", 1);

  function startWaiting(state: LevelState, level: Level): void {
    while (state.running < level.seats) {
      const next = state.waiting.shift();
      if (next === undefined) return;
      state.running += 1;
      next.start();
    }
  }

  function leave(state: LevelState, waiting: Waiting): void {
    const left = (state.waitingOf.get(waiting.flow) ?? 1) - 1;
    if (left === 0) state.waitingOf.delete(waiting.flow);
    else state.waitingOf.set(waiting.flow, left);
  }

  function wait(state: LevelState, level: Level, flow: string, signal: AbortSignal | undefined): Promise<void> {
    const ofFlow = state.waitingOf.get(flow) ?? 0;
    if (level.rejects || state.waiting.length >= level.maxWaiting || ofFlow >= level.maxWaitingOfFlow) {
      return Promise.reject(tooMany());
    }
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const settle = (act: () => void): void => {
      timer.cancel();
      signal?.removeEventListener("abort", onAbort);
      leave(state, waiting);
      act();
    };
    const waiting: Waiting = { flow, start: () => settle(resolve) };
    const giveUp = (reason: unknown): void => {
      const at = state.waiting.indexOf(waiting);
      if (at < 0) return;
      state.waiting.splice(at, 1);
      settle(() => reject(reason as Error));
    };
    const onAbort = (): void => giveUp(signal?.reason);
    const timer = clock.setTimer(queueTimeoutMs, () => giveUp(tooMany()));
    signal?.addEventListener("abort", onAbort, { once: true });
    state.waiting.push(waiting);
    state.waitingOf.set(flow, ofFlow + 1);
    return promise;
  }

  return {
    async begin(user, info, signal) {
      const { schemas, levels } = configurationNow();
      const schema = schemas.find(
        ({ spec }) =>
          levels.has(spec?.priorityLevelConfiguration.name ?? "") &&
          (spec?.rules ?? []).some((rule) => ruleMatches(rule, user, info)),
      );
      const name = schema?.spec?.priorityLevelConfiguration.name ?? "";
      const level = levels.get(name);
      // Without a configuration (the server is starting) nobody is held up.
      if (schema === undefined || level === undefined) return { headers: {}, done: () => undefined };
      const headers = {
        "x-kubernetes-pf-flowschema-uid": schema.metadata.uid ?? "",
        "x-kubernetes-pf-prioritylevel-uid": level.uid,
      };
      if (level.exempt) return { headers, done: () => undefined };
      const state = stateOf(name);
      if (state.running < level.seats && state.waiting.length === 0) state.running += 1;
      else await wait(state, level, flowOf(schema, user, info), signal);
      let given = false;
      return {
        headers,
        done() {
          if (given) return;
          given = true;
          state.running -= 1;
          startWaiting(state, configurationNow().levels.get(name) ?? level);
        },
      };
    },
  };
}
