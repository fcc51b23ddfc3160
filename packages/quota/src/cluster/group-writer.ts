import type { BizGroupResourceQuota, Condition } from "@fleetwright/api";
import {
  ApiError,
  TransportError,
  isConflict,
  isNotFound,
  sleep,
  type Clock,
  type Logger,
  type Random,
} from "@fleetwright/kube";
import { quotaErrors, type Refusal } from "../errors.ts";
import { admit, isClosing, type ChargeRequest, type Lack, type LedgerBounds, type Verdict } from "../core/admit.ts";
import { closeGroup } from "../core/close.ts";
import type { Amounts } from "../core/amounts.ts";
import { withoutHolds, type Expired } from "../core/expiry.ts";
import type { GroupView } from "../core/group-view.ts";
import { readGroup, sameStatus, writeGroup, type GroupState } from "../core/group-state.ts";
import type { Ledger } from "../core/ledger.ts";
import { recompute } from "../core/recompute.ts";
import { exceeded, inUse, type GroupContext } from "../core/refusal.ts";

/** Where a group's object is read and written, and what is known of its members. */
export interface GroupStore {
  /** Live. `undefined`: there is no such group. */
  read(group: string, signal: AbortSignal): Promise<BizGroupResourceQuota | undefined>;
  /** PUT of `/status` with the object's resource version. Throws `ApiError` (409 on conflict). */
  write(object: BizGroupResourceQuota, signal: AbortSignal): Promise<BizGroupResourceQuota>;
  /** From the caches. */
  view(group: string): GroupView;
  /** From live lists where the caches may be behind; at least as new as all that the ledger, which was read before, has seen. */
  liveView(group: string, ledger: Ledger, signal: AbortSignal): Promise<GroupView>;
  /** For messages only. */
  context(group: string): GroupContext;
}

export interface GroupWriterOptions {
  readonly store: GroupStore;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** How long a hold lives before it is looked up; above the API server's request timeout of 60 s. @default 90_000 */
  readonly holdLifeMs?: number;
  readonly bounds: LedgerBounds;
  /** Most requests that are folded into one write. @default 512 */
  readonly maxBatch?: number;
  readonly onWrite?: (outcome: "stored" | "conflict" | "failed", folded: number) => void;
  /** Asked right before a write that only counts, which is the leader's to do: throws when we do not lead. @default never */
  readonly assertLeading?: () => void;
}

/** What became of a request. */
export type Outcome = { readonly allowed: true } | { readonly allowed: false; readonly refusal: Refusal };

/** What a recompute found. */
export interface Reconciled {
  readonly state: GroupState;
  readonly ledger: Ledger;
  /** Both parts were counted; otherwise this replica's caches are behind and it should come again. */
  readonly fresh: boolean;
}

interface RecomputeJob {
  readonly kind: "recompute";
  readonly expired: readonly Expired[];
  readonly ready: Omit<Condition, "type" | "lastTransitionTime"> | undefined;
  /** Write even if only the time has changed. */
  readonly touch: boolean;
}

type Job =
  | { readonly kind: "charge"; readonly request: ChargeRequest }
  | { readonly kind: "close"; readonly dryRun: boolean }
  | RecomputeJob;

interface Waiting {
  readonly job: Job;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly resolve: (answer: Outcome | Reconciled) => void;
  readonly reject: (error: unknown) => void;
}

/** `undefined`: nothing was asked. What lacks is refused only on a state and a view that were read live. */
type Finding =
  | Outcome
  | { readonly lacks: readonly Lack[] }
  | { readonly occupied: { readonly self: Amounts; readonly children: number } }
  | undefined;

/** What a batch comes to on one state. */
interface Evaluation {
  readonly ledger: Ledger;
  readonly findings: readonly Finding[];
  /** Something was charged: only the write makes it so. */
  readonly charged: boolean;
  readonly fresh: boolean;
}

const holdLifeDefault = 90_000;

/**
 * The one writer of a group in this replica: requests that wait while a write is in flight are evaluated together, in order of arrival, on one
 * state, and written once. Every verdict belongs to the state it was found on; a conflict throws all of them away (kubernetes#141904).
 */
export class GroupWriter {
  readonly #group: string;
  readonly #options: GroupWriterOptions;
  readonly #queue: Waiting[] = [];
  #running = false;
  /** What was last written or read; the next write's precondition shows whether it still holds. */
  #current: BizGroupResourceQuota | undefined;

  constructor(group: string, options: GroupWriterOptions) {
    this.#group = group;
    this.#options = options;
  }

  /** Nothing waits and nothing is in flight. */
  get idle(): boolean {
    return !this.#running && this.#queue.length === 0;
  }

  /** @param deadline milliseconds since the epoch; what is not decided by then is shed with 429 */
  charge(request: ChargeRequest, deadline: number, signal: AbortSignal): Promise<Outcome> {
    return this.#submit({ kind: "charge", request }, deadline, signal) as Promise<Outcome>;
  }

  /** Marks the group as being deleted, if nothing is charged to it and nothing is below it. */
  close(deadline: number, signal: AbortSignal, dryRun: boolean): Promise<Outcome> {
    return this.#submit({ kind: "close", dryRun }, deadline, signal) as Promise<Outcome>;
  }

  /** Counts from the caches, takes expired holds out and writes what has changed. */
  recompute(job: Omit<RecomputeJob, "kind">, deadline: number, signal: AbortSignal): Promise<Reconciled> {
    return this.#submit({ kind: "recompute", ...job }, deadline, signal) as Promise<Reconciled>;
  }

  #submit(job: Job, deadline: number, signal: AbortSignal): Promise<Outcome | Reconciled> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      this.#queue.push({ job, deadline, resolve, reject });
      if (!this.#running) {
        this.#running = true;
        void this.#drain();
      }
    });
  }

  async #drain(): Promise<void> {
    try {
      // Requests that arrived in the same turn belong in one batch.
      await Promise.resolve();
      while (this.#queue.length > 0) {
        const batch = this.#queue.splice(0, this.#options.maxBatch ?? 512);
        try {
          await this.#decide(batch);
        } catch (error) {
          this.#current = undefined;
          for (const waiting of batch) waiting.reject(error);
        }
      }
    } finally {
      this.#running = false;
    }
  }

  async #decide(all: readonly Waiting[]): Promise<void> {
    let batch = all;
    for (let attempt = 0; ; attempt++) {
      batch = this.#shed(batch);
      if (batch.length === 0) return;
      const deadline = Math.max(...batch.map((waiting) => waiting.deadline));
      const abort = new AbortController();
      const timer = this.#options.clock.setTimer(deadline - this.#options.clock.now(), () =>
        abort.abort(new TransportError(`quota "${this.#group}": no answer within the deadline`)),
      );
      try {
        if (await this.#attempt(batch, abort.signal)) return;
      } catch (error) {
        if (!isTransient(error)) throw error;
        this.#options.onWrite?.("failed", batch.length);
        this.#options.logger.warn({ group: this.#group, error, attempt }, "could not reach a decision, trying again");
      } finally {
        timer.cancel();
      }
      this.#current = undefined;
      const { clock, random } = this.#options;
      const backoff = Math.min(200, 5 * 2 ** Math.min(attempt, 6)) * (0.5 + random.next());
      await sleep(clock, Math.max(0, Math.min(backoff, deadline - clock.now())));
    }
  }

  /** Answers 429 to what is too late. */
  #shed(batch: readonly Waiting[]): readonly Waiting[] {
    const now = this.#options.clock.now();
    return batch.filter((waiting) => {
      if (now < waiting.deadline) return true;
      const message = `quota "${this.#group}": too many requests at once, this one could not be decided in time; try again`;
      if (waiting.job.kind === "recompute") waiting.reject(new Error(message));
      else waiting.resolve({ allowed: false, refusal: { code: quotaErrors.busy, message, retryAfterSeconds: 1 } });
      return false;
    });
  }

  /** One evaluation and at most one write. `false`: somebody else wrote in between, nothing was decided. */
  async #attempt(batch: readonly Waiting[], signal: AbortSignal): Promise<boolean> {
    const { store } = this.#options;
    let live = this.#current === undefined;
    let state = await this.#state(signal);
    let evaluation = state && this.#evaluate(state, batch, store.view(this.#group));
    if (evaluation && !live && needsLiveState(batch, evaluation)) {
      this.#current = undefined;
      state = await this.#state(signal);
      evaluation = state && this.#evaluate(state, batch, store.view(this.#group));
      live = true;
    }
    if (state && evaluation && needsLiveView(evaluation)) {
      // The lists must be newer than the ledger that they are compared with.
      const view = await store.liveView(this.#group, withoutExpired(state.ledger, batch), signal);
      evaluation = this.#evaluate(state, batch, view);
      if (!evaluation.fresh) return false;
    }
    if (!state || !evaluation) {
      this.#answerUnknown(batch);
      return true;
    }
    const written = this.#toWrite(state, batch, evaluation);
    // Nothing to say about a state that another replica may have overtaken says nothing.
    if (!written && !live && batch.some(({ job }) => job.kind === "recompute")) return false;
    this.#current = state.object;
    if (written) {
      // After a long pause of this process somebody else may count, and no timer may have told us yet.
      if (batch.every(({ job }) => job.kind === "recompute")) this.#options.assertLeading?.();
      try {
        this.#current = await store.write(written, signal);
      } catch (error) {
        if (isConflict(error) || isNotFound(error)) {
          this.#options.onWrite?.("conflict", batch.length);
          return false;
        }
        throw error;
      }
      this.#options.onWrite?.("stored", batch.length);
    }
    this.#answer(batch, state, evaluation);
    return true;
  }

  async #state(signal: AbortSignal): Promise<GroupState | undefined> {
    const object = this.#current ?? (await this.#options.store.read(this.#group, signal));
    return object && readGroup(object);
  }

  #evaluate(state: GroupState, batch: readonly Waiting[], view: GroupView): Evaluation {
    const { clock, bounds, holdLifeMs = holdLifeDefault } = this.#options;
    const now = clock.now();
    const counted = recompute(withoutExpired(state.ledger, batch), view);
    let ledger = counted.ledger;
    if (ledger.closingSince !== undefined && !isClosing(ledger, { now, holdLifeMs })) {
      const { closingSince: _lapsed, ...open } = ledger;
      ledger = open;
    }
    const context = { group: this.#group, hard: state.hard, view, fresh: counted.fresh, now, holdLifeMs, bounds };
    const start = ledger;
    const findings: Finding[] = [];
    for (let index = 0; index < batch.length;) {
      const job = batch[index]?.job;
      if (job?.kind === "charge") {
        const requests = chargesFrom(batch, index);
        const folded = admit(ledger, requests, context);
        ledger = folded.ledger;
        findings.push(...folded.verdicts.map(findingOf));
        index += requests.length;
        continue;
      }
      if (job?.kind === "close") {
        const closed = closeGroup(ledger, context);
        if (closed.kind === "closed" && !job.dryRun) ledger = closed.ledger;
        findings.push(closed.kind === "closed" ? { allowed: true } : { occupied: closed });
      } else findings.push(undefined);
      index++;
    }
    return { ledger, findings, charged: ledger !== start, fresh: counted.fresh.size === 2 };
  }

  /** What to store; `undefined` when there is nothing to say. */
  #toWrite(state: GroupState, batch: readonly Waiting[], evaluation: Evaluation): BizGroupResourceQuota | undefined {
    const recomputes = batch.flatMap(({ job }) => (job.kind === "recompute" ? [job] : []));
    // Counting alone is the reconciler's business: a refusal writes nothing.
    if (!evaluation.charged && recomputes.length === 0) return undefined;
    const ready = recomputes.at(-1)?.ready;
    const written = writeGroup(state, evaluation.ledger, {
      now: this.#options.clock.now(),
      reconciled: recomputes.length > 0 && evaluation.fresh,
      ...(ready && { ready }),
    });
    const must = evaluation.charged || recomputes.some(({ touch }) => touch);
    return must || !sameStatus(state.object, written) ? written : undefined;
  }

  #answer(batch: readonly Waiting[], state: GroupState, evaluation: Evaluation): void {
    const context = this.#options.store.context(this.#group);
    batch.forEach(({ job, resolve }, index) => {
      const finding = evaluation.findings[index];
      if (finding === undefined) resolve({ state, ledger: evaluation.ledger, fresh: evaluation.fresh });
      else if ("allowed" in finding) resolve(finding);
      else if ("occupied" in finding) {
        const { self, children } = finding.occupied;
        resolve({ allowed: false, refusal: inUse(this.#group, self, children, context) });
      } else if (job.kind === "charge")
        resolve({ allowed: false, refusal: exceeded(this.#group, job.request, finding.lacks, context) });
    });
  }

  #answerUnknown(batch: readonly Waiting[]): void {
    for (const waiting of batch) {
      const message = `there is no bizrq "${this.#group}": create it, or name another group`;
      if (waiting.job.kind === "recompute") waiting.reject(new Error(message));
      else waiting.resolve({ allowed: false, refusal: { code: quotaErrors.unknownGroup, message } });
    }
  }
}

/** The charges that stand together in a batch, from `start` on. */
function chargesFrom(batch: readonly Waiting[], start: number): readonly ChargeRequest[] {
  const requests: ChargeRequest[] = [];
  for (let index = start; index < batch.length; index++) {
    const job = batch[index]?.job;
    if (job?.kind !== "charge") break;
    requests.push(job.request);
  }
  return requests;
}

function findingOf(verdict: Verdict): Finding {
  if (verdict.kind === "refused") return { allowed: false, refusal: verdict.refusal };
  return verdict.kind === "lacking" ? { lacks: verdict.lacks } : { allowed: true };
}

/** A refusal must be found on what is read now, and so must an allowance that no write will prove. */
function needsLiveState(batch: readonly Waiting[], evaluation: Evaluation): boolean {
  return evaluation.findings.some((finding, index) => {
    if (finding === undefined) return false;
    if (!("allowed" in finding) || !finding.allowed) return true;
    const job = batch[index]?.job;
    if (evaluation.charged) return false;
    return (
      job?.kind === "close" ||
      (job?.kind === "charge" && (job.request.dryRun === true || job.request.childGroup === true))
    );
  });
}

/** Room may have been freed that no cache shows yet; unless it could not fit even into an empty group. */
function needsLiveView({ findings, fresh }: Evaluation): boolean {
  return findings.some((finding) => {
    if (finding === undefined || "allowed" in finding) return false;
    return !fresh || "occupied" in finding || finding.lacks.every((lack) => lack.needs <= lack.hard);
  });
}

/** The ledger that a batch starts from. */
const withoutExpired = (ledger: Ledger, batch: readonly Waiting[]): Ledger =>
  withoutHolds(
    ledger,
    batch.flatMap(({ job }) => (job.kind === "recompute" ? job.expired : [])),
  );

/** Worth another try: the server was busy or could not be reached. */
function isTransient(error: unknown): boolean {
  if (error instanceof TransportError) return true;
  return error instanceof ApiError && (error.httpStatus === 429 || error.httpStatus >= 500);
}
