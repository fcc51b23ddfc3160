import { readFile, stat } from "node:fs/promises";
import type { ClientCertificate } from "../client/connection-pool.ts";
import type { Credential, Credentials } from "../client/credentials.ts";
import type { Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { ClusterConfig, TextSource } from "./cluster-config.ts";
import { execCredentials, type RunPlugin } from "./exec-plugin.ts";
import { kubeconfigErrorCode } from "./yaml-file.ts";

/** How old a file's content may be before it is looked at again: client-go's token source reads each minute. */
const refreshMs = 60_000;

/** What a {@link ClusterConfig} says about who we are, kept fresh. */
export function clusterCredentials(config: ClusterConfig, clock: Clock, runPlugin?: RunPlugin): Credentials {
  const certificate = clientCertificateReader(config, clock);
  const identity = identityCredentials(config, clock, runPlugin);
  const complete = async (own: Credential): Promise<Credential> => {
    const clientCertificate = own.clientCertificate ?? (await certificate());
    return clientCertificate === undefined ? own : { ...own, clientCertificate };
  };
  return {
    current: async (signal) => complete(await identity.current(signal)),
    async renew(refused, signal) {
      const renewed = await identity.renew(refused, signal);
      return renewed && complete(renewed);
    },
  };
}

function identityCredentials(config: ClusterConfig, clock: Clock, runPlugin: RunPlugin | undefined): Credentials {
  const { identity, source } = config;
  switch (identity.kind) {
    case "anonymous":
      return fixed({});
    case "basic": {
      const pair = Buffer.from(`${identity.username}:${identity.password}`, "utf8").toString("base64");
      return fixed({ authorization: `Basic ${pair}` });
    }
    case "token":
      return identity.file === undefined
        ? fixed({ authorization: `Bearer ${(identity.token ?? "").trim()}` })
        : tokenFileCredentials(identity.file, identity.token, source, clock);
    case "exec":
      return execCredentials({ ...identity, source, clock, run: runPlugin });
  }
}

const fixed = (headers: Readonly<Record<string, string>>): Credentials => ({
  current: async () => ({ headers }),
  renew: async () => undefined,
});

function tokenFileCredentials(path: string, fallback: string | undefined, source: string, clock: Clock): Credentials {
  const file = new WatchedFile(path, clock, `${source}: token file`);
  let lastToken = fallback?.trim() ?? "";
  const current = async (): Promise<Credential> => {
    try {
      const token = (await file.read()).trim();
      // A file that is being replaced may be empty for a moment.
      if (token !== "") lastToken = token;
    } catch (error) {
      if (lastToken === "") throw error;
    }
    if (lastToken === "") {
      throw new FleetwrightError(
        kubeconfigErrorCode,
        `${source}: token file ${JSON.stringify(path)} is empty; put a token in it`,
      );
    }
    return { headers: { authorization: `Bearer ${lastToken}` } };
  };
  return {
    current,
    async renew(refused) {
      file.expire();
      const renewed = await current();
      return renewed.headers["authorization"] === refused.headers["authorization"] ? undefined : renewed;
    },
  };
}

function clientCertificateReader(config: ClusterConfig, clock: Clock): () => Promise<ClientCertificate | undefined> {
  const pair = config.clientCertificate;
  if (pair === undefined) return async () => undefined;
  const cert = sourceReader(pair.cert, clock, `${config.source}: client-certificate`);
  const key = sourceReader(pair.key, clock, `${config.source}: client-key`);
  return async () => ({ cert: await cert(), key: await key() });
}

function sourceReader(source: TextSource, clock: Clock, label: string): () => Promise<string> {
  if (source.kind === "data") return async () => source.text;
  const file = new WatchedFile(source.path, clock, label);
  return () => file.read();
}

/** A small file that is looked at once a minute, and read when it changed. */
class WatchedFile {
  readonly #path: string;
  readonly #clock: Clock;
  readonly #label: string;
  #checkedAt = -Infinity;
  #version = "";
  #text = "";

  constructor(path: string, clock: Clock, label: string) {
    this.#path = path;
    this.#clock = clock;
    this.#label = label;
  }

  /** Looks again at the next read. */
  expire(): void {
    this.#checkedAt = -Infinity;
  }

  async read(): Promise<string> {
    if (this.#clock.now() - this.#checkedAt < refreshMs) return this.#text;
    try {
      const { mtimeMs, size, ino } = await stat(this.#path);
      const version = `${mtimeMs} ${size} ${ino}`;
      if (version !== this.#version) this.#text = await readFile(this.#path, "utf8");
      this.#version = version;
      this.#checkedAt = this.#clock.now();
      return this.#text;
    } catch (error) {
      throw new FleetwrightError(
        kubeconfigErrorCode,
        `${this.#label} ${JSON.stringify(this.#path)} cannot be read (${(error as { code?: string }).code ?? String(error)}); ` +
          `put it there, or correct its path`,
        { cause: error },
      );
    }
  }
}
