import type { ClientCertificate } from "./connection-pool.ts";

/** What proves who we are, at one moment. */
export interface Credential {
  /** `authorization`, usually. */
  readonly headers: Readonly<Record<string, string>>;
  readonly clientCertificate?: ClientCertificate | undefined;
}

/** Where credentials come from; asked before every call, so that rotated tokens and certificates are used at once. */
export interface Credentials {
  current(signal?: AbortSignal): Promise<Credential>;
  /** The server answered 401 to `refused`. Another to try with, or `undefined` when there is none. */
  renew(refused: Credential, signal?: AbortSignal): Promise<Credential | undefined>;
}

/** Nothing to show: anonymous, or a test's plain server. */
export const noCredentials: Credentials = {
  current: async () => ({ headers: {} }),
  renew: async () => undefined,
};
