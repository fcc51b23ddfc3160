/** What a reconciler is asked about: a name, never an event (controller-runtime's `reconcile.Request`). */
export interface ReconcileRequest {
  readonly namespace?: string;
  readonly name: string;
}

export interface ReconcileResult {
  /** Come again after this many milliseconds, without counting as a failure. */
  readonly requeueAfterMs?: number;
}

/** Reads what is and moves towards what should be. Throwing means: again, with backoff; `TerminalError`: not again. */
export interface Reconciler {
  reconcile(request: ReconcileRequest, signal: AbortSignal): Promise<ReconcileResult | undefined | void>;
}

/** A failure that trying again cannot mend; counted, logged, not requeued (controller-runtime's `TerminalError`). */
export class TerminalError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = "TerminalError";
  }
}
