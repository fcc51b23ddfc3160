import {
  ApiError,
  isAlreadyExists,
  TransportError,
  type Client,
  type KubeObject,
  type Resource,
} from "@fleetwright/kube";

/** One create of a storm, judged by the server's last word on it. */
export interface Answer {
  readonly name: string;
  readonly group: string;
  readonly verdict: "admitted" | "refused";
  /** Of the try that brought the verdict, in milliseconds. */
  readonly latencyMs: number;
  /** Tries that brought none: broken connections, no webhook reachable, 429 beyond the client's own retries. */
  readonly transportErrors: number;
}

/** No verdict: the same request may be sent again. */
function isTransient(error: unknown): boolean {
  if (error instanceof TransportError) return true;
  if (!(error instanceof ApiError)) return false;
  return error.httpStatus === 429 || error.httpStatus >= 500;
}

/** Sends one create until the server has an answer for it. */
async function createOnce(client: Client, resource: Resource, object: KubeObject, group: string): Promise<Answer> {
  const name = object.metadata.name ?? "";
  for (let transportErrors = 0; ; transportErrors++) {
    const started = performance.now();
    const done = (verdict: Answer["verdict"]): Answer => ({
      name,
      group,
      verdict,
      latencyMs: performance.now() - started,
      transportErrors,
    });
    try {
      await client.create(resource, object);
      return done("admitted");
    } catch (error) {
      // The try before was carried out and its answer lost.
      if (transportErrors > 0 && isAlreadyExists(error)) return done("admitted");
      if (error instanceof ApiError && error.httpStatus === 403) return done("refused");
      if (!isTransient(error) || transportErrors >= 200) throw error;
      await new Promise((resolve) => {
        setTimeout(resolve, 100);
      });
    }
  }
}

export interface Storm {
  readonly client: Client;
  readonly resource: Resource;
  readonly requests: number;
  /** All at once when it is as large as `requests`. */
  readonly inFlight: number;
  readonly objectOf: (index: number) => { readonly object: KubeObject; readonly group: string };
  /** Called when this many answers are in. */
  readonly at?: { readonly answers: number; readonly run: () => void };
}

export interface StormResult {
  readonly answers: readonly Answer[];
  readonly seconds: number;
}

export async function runStorm(storm: Storm): Promise<StormResult> {
  const started = performance.now();
  const answers: Answer[] = [];
  let next = 0;
  await Promise.all(
    Array.from({ length: Math.min(storm.inFlight, storm.requests) }, async () => {
      while (next < storm.requests) {
        const { object, group } = storm.objectOf(next++);
        answers.push(await createOnce(storm.client, storm.resource, object, group));
        if (answers.length === storm.at?.answers) storm.at.run();
      }
    }),
  );
  return { answers, seconds: (performance.now() - started) / 1000 };
}

export const percentile = (values: readonly number[], share: number): number => {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
};
