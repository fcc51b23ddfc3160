import { destination, pino } from "pino";

/** Fields of a log line; `error` is printed with its stack. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where a part says what it does: JSON lines through pino in production, nothing or an array in tests. */
export interface Logger {
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  child(fields: LogFields): Logger;
}

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** JSON lines on a file descriptor (default 2, so that a command's output stays its own). */
export function createLogger(options: { level?: LogLevel; fd?: number } = {}): Logger {
  return pino(
    { level: options.level ?? "info", base: null, errorKey: "error" },
    destination({ fd: options.fd ?? 2, sync: true }),
  );
}

/** Says nothing. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
