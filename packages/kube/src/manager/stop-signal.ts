import type { Logger } from "../core/logger.ts";

/**
 * Aborts at the first SIGTERM or SIGINT, for a graceful stop; the second ends the process with exit code 1, as
 * controller-runtime's `SetupSignalHandler` does. Call once per process.
 */
export function stopSignal(logger: Logger, target: NodeJS.Process = process): AbortSignal {
  const stop = new AbortController();
  const onSignal = (name: NodeJS.Signals): void => {
    if (stop.signal.aborted) {
      logger.warn({ signal: name }, "second signal: exiting at once");
      target.exit(1);
    }
    logger.info({ signal: name }, "stopping");
    stop.abort(new Error(`received ${name}`));
  };
  target.on("SIGTERM", onSignal);
  target.on("SIGINT", onSignal);
  return stop.signal;
}
