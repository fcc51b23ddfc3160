import type { Random } from "@fleetwright/kube";

/** What a request asks of an API server, read from its method and path as the server itself does. */
export interface ProxiedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  /** `other`: not a request for a resource (discovery, `/readyz`). */
  readonly verb: "get" | "list" | "watch" | "create" | "update" | "patch" | "delete" | "deletecollection" | "other";
  readonly group: string;
  /** The plural: `pods`; `""` for other requests. */
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly subresource: string;
}

/** A number, or one drawn evenly from a range (both ends included). */
export type Amount = number | readonly [from: number, to: number];

/** One way in which an answer goes wrong. */
export type Fault =
  /** The request is held back before it is forwarded. */
  | { readonly kind: "delay"; readonly ms: Amount }
  /** Refused in the server's place with a Status; the server never sees the request. */
  | {
      readonly kind: "refuse";
      readonly status: number;
      readonly reason?: string;
      readonly message?: string;
      readonly retryAfterSeconds?: number;
    }
  /** A watch is accepted; then, in its own stream, an ERROR event with this status (410: the version is too old). */
  | { readonly kind: "error-event"; readonly status: number; readonly reason?: string; readonly afterBytes?: Amount }
  /** The connection is reset before the server sees the request. */
  | { readonly kind: "cut-before" }
  /** The server carries the request out; the connection is reset before its answer. */
  | { readonly kind: "cut-after" }
  /** The connection is reset after so much of the answer's body. */
  | { readonly kind: "cut-during"; readonly afterBytes: Amount }
  /** The answer stops after so much of its body, and the connection stays open. Without `afterBytes`: not even headers. */
  | { readonly kind: "silence"; readonly afterBytes?: Amount }
  /** The answer ends after so much of its body as if that were all: well-formed HTTP, broken JSON. 0: a watch that ends at once. */
  | { readonly kind: "truncate"; readonly afterBytes: Amount };

export interface FaultRule {
  /** Which requests. @default all */
  readonly match?: (request: ProxiedRequest) => boolean;
  /** 0 to 1. @default 1 */
  readonly probability?: number;
  /** At most so often. @default no end */
  readonly times?: number;
  readonly fault: Fault;
}

/** Rules with their memory of how often each has struck. */
export class FaultPlan {
  readonly #random: Random;
  #rules: readonly FaultRule[] = [];
  readonly #struck = new Map<FaultRule, number>();

  constructor(random: Random, rules: readonly FaultRule[] = []) {
    this.#random = random;
    this.#rules = rules;
  }

  set(rules: readonly FaultRule[]): void {
    this.#rules = rules;
    this.#struck.clear();
  }

  /** Adds a rule behind the others; returns what removes it. */
  add(rule: FaultRule): () => void {
    this.#rules = [...this.#rules, rule];
    return () => {
      this.#rules = this.#rules.filter((other) => other !== rule);
      this.#struck.delete(rule);
    };
  }

  /** What happens to a request: every delay that strikes, and of the other faults the first. */
  draw(request: ProxiedRequest): {
    readonly delayMs: number;
    readonly fault: Exclude<Fault, { kind: "delay" }> | undefined;
  } {
    let delayMs = 0;
    let fault: Exclude<Fault, { kind: "delay" }> | undefined;
    for (const rule of this.#rules) {
      if (fault !== undefined && rule.fault.kind !== "delay") continue;
      if (!this.#strikes(rule, request)) continue;
      if (rule.fault.kind === "delay") delayMs += this.amount(rule.fault.ms);
      else fault = rule.fault;
    }
    return { delayMs, fault };
  }

  amount(amount: Amount): number {
    if (typeof amount === "number") return amount;
    const [from, to] = amount;
    return from + Math.floor(this.#random.next() * (to - from + 1));
  }

  #strikes(rule: FaultRule, request: ProxiedRequest): boolean {
    const struck = this.#struck.get(rule) ?? 0;
    if (rule.times !== undefined && struck >= rule.times) return false;
    if (rule.match && !rule.match(request)) return false;
    // Drawn even for a certainty's sake only when there is a chance: rules without one leave the sequence alone.
    if (rule.probability !== undefined && this.#random.next() >= rule.probability) return false;
    this.#struck.set(rule, struck + 1);
    return true;
  }
}

/**
 * Reads a request as `k8s.io/apiserver/pkg/endpoints/request` does.
 *
 * @example
 * describeRequest("GET", "/api/v1/namespaces/ml/pods?watch=true").verb // "watch"
 */
export function describeRequest(method: string, target: string): ProxiedRequest {
  const { pathname, searchParams: query } = new URL(target, "https://server");
  const parts = pathname.split("/").filter((part) => part !== "");
  const base = { method, path: pathname, query };
  const other = { ...base, verb: "other", group: "", resource: "", namespace: "", name: "", subresource: "" } as const;
  const core = parts[0] === "api";
  if (!core && parts[0] !== "apis") return other;
  const group = core ? "" : (parts[1] ?? "");
  let rest = parts.slice(core ? 2 : 3);
  let namespace = "";
  if (rest[0] === "namespaces" && rest.length > 2 && rest[2] !== "status" && rest[2] !== "finalize") {
    namespace = rest[1] ?? "";
    rest = rest.slice(2);
  }
  const [resource = "", name = "", subresource = ""] = rest;
  if (resource === "") return other;
  return { ...base, verb: verbOf(method, name, query), group, resource, namespace, name, subresource };
}

function verbOf(method: string, name: string, query: URLSearchParams): ProxiedRequest["verb"] {
  switch (method) {
    case "POST":
      return "create";
    case "PUT":
      return "update";
    case "PATCH":
      return "patch";
    case "DELETE":
      return name === "" ? "deletecollection" : "delete";
    case "GET":
    case "HEAD":
      if (query.get("watch") === "true" || query.get("watch") === "1") return "watch";
      return name === "" ? "list" : "get";
    default:
      return "other";
  }
}
