/** Who asks: the administrator's certificate, nobody, a bearer token, or somebody whom the administrator impersonates. */
export type Caller =
  | "admin"
  | "anonymous"
  | { readonly token: string }
  | { readonly user: string; readonly groups?: readonly string[] };

/** What is sent; `body` as JSON, `raw` as it is. */
export interface Request {
  readonly body?: unknown;
  readonly raw?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly as?: Caller;
  /** What of the answer's body is recorded, for documents too large to keep. */
  readonly pick?: (body: unknown) => unknown;
}

/** An answer as it came. */
export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Parsed when it is JSON, text otherwise. */
  readonly body: unknown;
}

/** What is collected from a watch before it is closed. */
export interface WatchOptions extends Omit<Request, "body" | "raw"> {
  /** How many events end it; those that never come are recorded as missing. */
  readonly events: number;
  /** Done after the server has answered. */
  readonly during?: () => Promise<unknown>;
}

/** What a scenario may do. Everything is recorded but {@link given}. */
export interface Session {
  /** The scenario's own namespace: the same on every server. */
  readonly namespace: string;
  /** For names of cluster-scoped objects: unique among scenarios, the same on every server. */
  readonly unique: string;
  send(method: string, path: string, request?: Request): Promise<Answer>;
  watch(path: string, options: WatchOptions): Promise<void>;
  kubectl(args: readonly string[], input?: string): Promise<void>;
  /** Sets the stage; not recorded, and whatever is refused fails the recording. */
  /** Waits until nobody has changed the object for a moment; not recorded. */
  settled(path: string): Promise<void>;
  /** Waits until a GET is answered with this status; not recorded. */
  served(path: string, status: number): Promise<void>;
  /** Lets the server's own controllers take notice of what cannot be observed. */
  pause(durationMs: number): Promise<void>;
  given(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
}

/** A conversation with an API server whose answers must be the same on every server. */
export interface Scenario {
  readonly area: string;
  /** Says the behaviour; unique. */
  readonly name: string;
  /** Keeps `managedFields` in the recording. */
  readonly managedFields?: boolean;
  readonly run: (session: Session) => Promise<void>;
}

/** One request and what came of it, normalised. */
export interface Exchange {
  readonly request: string;
  readonly status?: number;
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly body?: unknown;
  readonly events?: readonly unknown[];
  readonly stdout?: string;
  readonly stderr?: string;
  readonly exitCode?: number | null;
}

/** `recordings/<area>.json`. */
export interface Recording {
  readonly server: string;
  readonly scenarios: Readonly<Record<string, readonly Exchange[]>>;
}

/** Scenarios of one area, written as pairs of a behaviour and the conversation that shows it. */
export function area(
  name: string,
  conversations: Readonly<Record<string, Scenario["run"]>>,
  options: { readonly managedFields?: boolean } = {},
): readonly Scenario[] {
  return Object.entries(conversations).map(([behaviour, run]) => ({ area: name, name: behaviour, run, ...options }));
}
