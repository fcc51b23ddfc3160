import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { KeyPair } from "../core/certificate-authority.ts";
import { sleep, type Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { Logger } from "../core/logger.ts";

export interface CertificateFilesOptions {
  /** Holds `tls.crt`, `tls.key` and, if callers are to be told whom to trust, `ca.crt`: a mounted Secret of cert-manager's. */
  readonly directory: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** How often the files are read, in milliseconds. @default 10_000 */
  readonly intervalMs?: number;
  readonly onCertificate: (pair: KeyPair) => void;
  readonly onBundle: (bundle: string, signal: AbortSignal) => Promise<void>;
}

/** Serving certificates that someone else issues and replaces in a folder. */
export interface CertificateFiles {
  /** Reads the files and hands on what has changed. @throws {FleetwrightError} `FW_WEBHOOK_CERTIFICATE` */
  sync(signal: AbortSignal): Promise<void>;
  /** Again and again until the signal aborts; a bad file is logged, and the last good one stays. */
  run(signal: AbortSignal): Promise<void>;
}

async function read(directory: string, name: string): Promise<string> {
  try {
    return await readFile(join(directory, name), "utf8");
  } catch (error) {
    throw new FleetwrightError(
      "FW_WEBHOOK_CERTIFICATE",
      `${join(directory, name)}: cannot be read (${String((error as Error).message)})`,
      {
        cause: error,
      },
    );
  }
}

/** A mounted Secret is swapped as a whole, files copied by hand are not: a pair that does not match is half of a change. */
function requirePair(directory: string, certificate: string, key: string): void {
  let cause: unknown;
  try {
    if (new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key))) return;
    cause = new Error("the key is of another certificate");
  } catch (error) {
    cause = error;
  }
  const reason = cause instanceof Error ? cause.message : String(cause);
  throw new FleetwrightError("FW_WEBHOOK_CERTIFICATE", `${directory}: tls.crt and tls.key are no pair (${reason})`, {
    cause,
  });
}

/** Whoever applies a chart again takes the bundle out of the configuration: it is handed on again this often. */
const bundleIntervalMs = 300_000;

export function createCertificateFiles(options: CertificateFilesOptions): CertificateFiles {
  const { directory, clock, logger, intervalMs = 10_000 } = options;
  let served = "";
  let trusted = "";
  let bundleDueAt = 0;
  const self: CertificateFiles = {
    async sync(signal) {
      // One after the other: of two that are missing, the same one is named each time.
      const certificate = await read(directory, "tls.crt");
      const key = await read(directory, "tls.key");
      const isNew = certificate + key !== served;
      if (isNew) requirePair(directory, certificate, key);
      const bundle = await read(directory, "ca.crt").catch(() => "");
      if (bundle !== "" && (bundle !== trusted || clock.now() >= bundleDueAt)) {
        // Both authorities, until what is served now and what is served next have changed places everywhere.
        await options.onBundle(bundle === trusted ? bundle : trusted + bundle, signal);
        trusted = bundle;
        bundleDueAt = clock.now() + bundleIntervalMs;
      }
      if (!isNew) return;
      options.onCertificate({ certificate, key });
      served = certificate + key;
      logger.info({ directory, notAfter: new X509Certificate(certificate).validTo }, "webhook certificate loaded");
    },
    async run(signal) {
      while (!signal.aborted) {
        await sleep(clock, intervalMs, signal).catch(() => {});
        if (signal.aborted) return;
        await self.sync(signal).catch((error: unknown) => {
          if (!signal.aborted) logger.warn({ error, directory }, "webhook certificate files: the last good ones stay");
        });
      }
    },
  };
  return self;
}
