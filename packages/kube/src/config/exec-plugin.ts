import { spawn } from "node:child_process";
import { stripVTControlCharacters } from "node:util";
import type { Credential, Credentials } from "../client/credentials.ts";
import type { Clock } from "../core/clock.ts";
import { FleetwrightError } from "../core/errors.ts";
import type { ExecConfig } from "./kubeconfig.ts";

/** What a plugin printed and how it ended. */
interface PluginResult {
  /** `null` when it was ended by a signal. */
  readonly exitCode: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a plugin; rejects when it cannot be started. */
export type RunPlugin = (
  exec: ExecConfig,
  env: Readonly<Record<string, string>>,
  interactive: boolean,
  signal?: AbortSignal,
) => Promise<PluginResult>;

export interface ExecPluginOptions {
  readonly exec: ExecConfig;
  /** For `provideClusterInfo`. */
  readonly clusterInfo?: Readonly<Record<string, unknown>> | undefined;
  /** Where the configuration comes from, for errors. */
  readonly source: string;
  readonly clock: Clock;
  readonly run?: RunPlugin | undefined;
  /** Whether a person sits at standard input. @default whether it is a terminal */
  readonly terminal?: boolean | undefined;
}

/** The code of every failure of a credential plugin. */
const execPluginErrorCode = "FW_EXEC_PLUGIN";

/**
 * Credentials that a program prints (`ExecCredential` of `client.authentication.k8s.io`). It runs when they are first
 * needed, when they have expired, and once after a 401; calls that come meanwhile wait for the same run.
 *
 * @throws FleetwrightError `FW_EXEC_PLUGIN` (from `current`)
 */
export function execCredentials(options: ExecPluginOptions): Credentials {
  const { clock } = options;
  let cached: { readonly credential: Credential; readonly expiresAt: number } | undefined;
  let running: Promise<Credential> | undefined;

  const run = (): Promise<Credential> => {
    // Not bound to the first caller's signal: others wait for the same run.
    running ??= obtain(options)
      .then((issued) => {
        cached = issued;
        return issued.credential;
      })
      .finally(() => {
        running = undefined;
      });
    return running;
  };
  const current = async (): Promise<Credential> =>
    cached && clock.now() < cached.expiresAt ? cached.credential : run();

  return {
    current,
    async renew(refused) {
      if (cached?.credential.headers === refused.headers) cached = undefined;
      return current();
    },
  };
}

interface ExecCredential {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly status?: {
    readonly expirationTimestamp?: string;
    readonly token?: string;
    readonly clientCertificateData?: string;
    readonly clientKeyData?: string;
  };
}

async function obtain(options: ExecPluginOptions): Promise<{ credential: Credential; expiresAt: number }> {
  const { exec } = options;
  const fail = (problem: string, cause?: unknown): FleetwrightError =>
    new FleetwrightError(
      execPluginErrorCode,
      `${options.source}: credential plugin ${JSON.stringify(exec.command)}: ${problem}`,
      { cause },
    );
  const interactive = isInteractive(options, fail);
  const info = {
    apiVersion: exec.apiVersion,
    kind: "ExecCredential",
    spec: { ...(exec.provideClusterInfo ? { cluster: options.clusterInfo } : {}), interactive },
  };
  const env = {
    ...Object.fromEntries(exec.env.map(({ name, value }) => [name, value])),
    KUBERNETES_EXEC_INFO: JSON.stringify(info),
  };
  let result: PluginResult;
  try {
    result = await (options.run ?? runPlugin)(exec, env, interactive);
  } catch (error) {
    const notFound = (error as { readonly code?: unknown }).code === "ENOENT";
    const hint = exec.installHint === undefined ? "install it, or put it on PATH" : oneLine(exec.installHint);
    throw fail(
      notFound ? `not found; ${hint}` : `cannot be run (${oneLine(String((error as Error).message))}); ${hint}`,
      error,
    );
  }
  if (result.exitCode !== 0) {
    const said = oneLine(result.stderr).slice(0, 500);
    const how = result.exitCode === null ? "was ended by a signal" : `failed with exit code ${result.exitCode}`;
    throw fail(`${how}${said === "" ? "" : `: ${said}`}; run it by hand to see why`);
  }
  return credentialIn(result.stdout, exec, fail);
}

function isInteractive(options: ExecPluginOptions, fail: (problem: string) => FleetwrightError): boolean {
  const terminal = options.terminal ?? process.stdin.isTTY === true;
  const { interactiveMode } = options.exec;
  if (interactiveMode === "Always" && !terminal) {
    throw fail("wants to ask a person (interactiveMode Always), and standard input is no terminal; run it from one");
  }
  return interactiveMode !== "Never" && terminal;
}

function credentialIn(
  stdout: string,
  exec: ExecConfig,
  fail: (problem: string, cause?: unknown) => FleetwrightError,
): { credential: Credential; expiresAt: number } {
  let answer: ExecCredential;
  try {
    answer = JSON.parse(stdout) as ExecCredential;
  } catch (error) {
    throw fail("did not print an ExecCredential as JSON; check its arguments", error);
  }
  if (answer.kind !== "ExecCredential" || answer.apiVersion !== exec.apiVersion) {
    throw fail(
      `printed ${answer.kind ?? "no kind"} of ${answer.apiVersion ?? "no apiVersion"}, not ExecCredential of ${exec.apiVersion}; correct apiVersion in the kubeconfig`,
    );
  }
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = answer.status ?? {};
  if (!token && !cert && !key) throw fail("printed neither a token nor a certificate; check its arguments");
  if (Boolean(cert) !== Boolean(key))
    throw fail("printed a certificate without its key, or a key alone; it must print both");
  const expiresAt = expirationTimestamp === undefined ? Infinity : Date.parse(expirationTimestamp);
  if (Number.isNaN(expiresAt))
    throw fail(`printed the expirationTimestamp ${JSON.stringify(expirationTimestamp)}, which is no time`);
  return {
    expiresAt,
    credential: {
      headers: token ? { authorization: `Bearer ${token}` } : {},
      ...(cert && key ? { clientCertificate: { cert, key } } : {}),
    },
  };
}

/** The real runner. The plugin's own messages for a person go to our standard error, as with kubectl. */
const runPlugin: RunPlugin = (exec, env, interactive, signal) =>
  new Promise((resolve, reject) => {
    const child = spawn(exec.command, exec.args, {
      env: { ...process.env, ...env },
      stdio: [interactive ? "inherit" : "ignore", "pipe", "pipe"],
      ...(signal === undefined ? {} : { signal }),
    });
    let stdout = "";
    let stderr = "";
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (stdout += text));
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-4096);
      if (interactive) process.stderr.write(text);
    });
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, stdout, stderr }));
  });

/** Without line breaks and colours: plugins write for terminals. */
const oneLine = (text: string): string => stripVTControlCharacters(text).replaceAll(/\s+/g, " ").trim();
