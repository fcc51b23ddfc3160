import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { checkpointError } from "../errors.ts";
import { quoted } from "./registry-error.ts";

/** What convinces a registry: a password; a token that its token server exchanges for others; a token that the registry itself takes. */
export type RegistryCredential =
  | { readonly kind: "password"; readonly username: string; readonly password: string }
  | { readonly kind: "identity-token"; readonly token: string }
  | { readonly kind: "registry-token"; readonly token: string };

/** Finds the credential for a repository of a registry (`host` or `host:port`); `undefined`: come without one. */
export type FindCredential = (registry: string, repository: string) => Promise<RegistryCredential | undefined>;

/** Nobody: what a registry shows to all. */
export const anonymous: FindCredential = () => Promise.resolve(undefined);

/** How a credential helper was run: its exit code and what it wrote. */
export type RunHelper = (
  program: string,
  input: string,
) => Promise<{ readonly exitCode: number | null; readonly stdout: string; readonly stderr: string }>;

export interface DockerConfigOptions {
  /** @default `$DOCKER_CONFIG/config.json`, or `~/.docker/config.json` */
  readonly path?: string;
  readonly environment?: { readonly DOCKER_CONFIG?: string | undefined };
  readonly runHelper?: RunHelper;
}

interface DockerAuth {
  readonly auth?: string;
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
}

interface DockerConfig {
  readonly auths?: Readonly<Record<string, DockerAuth>>;
  readonly credsStore?: string;
  readonly credHelpers?: Readonly<Record<string, string>>;
}

const failure = (message: string, cause?: unknown): Error =>
  checkpointError("FW_CHECKPOINT_CREDENTIALS", message, cause);

/**
 * Credentials as docker keeps them: `credHelpers` of that registry, then `credsStore`, then `auths`, where a key may name a path below the registry, as in
 * Kubernetes' `kubernetes.io/dockerconfigjson`. Read anew for each question, so that a login counts at once; a file that is not there holds nothing.
 *
 * @throws FleetwrightError `FW_CHECKPOINT_CREDENTIALS` (from the function)
 */
export function dockerCredentials(options: DockerConfigOptions = {}): FindCredential {
  const { environment = process.env, runHelper = runProgram } = options;
  const path = options.path ?? join(environment.DOCKER_CONFIG || join(homedir(), ".docker"), "config.json");
  return async (registry, repository) => {
    let text: string;
    try {
      text = await readFile(path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT" && options.path === undefined) return undefined;
      throw failure(`${path}: cannot be read (${(error as Error).message})`, error);
    }
    const config = parseConfig(text, path);
    const helper = config.credHelpers?.[registry] ?? config.credsStore;
    return (
      (helper ? await askHelper(helper, registry, runHelper) : undefined) ??
      credentialIn(config.auths ?? {}, registry, repository, path)
    );
  };
}

/**
 * Credentials of a Secret of type `kubernetes.io/dockerconfigjson`: only what it holds itself, no helper is run.
 *
 * @param place how messages call it
 * @throws FleetwrightError `FW_CHECKPOINT_CREDENTIALS`, from here and from the function
 */
export function secretCredentials(text: string, place: string): FindCredential {
  const config = parseConfig(text, place);
  return async (registry, repository) => credentialIn(config.auths ?? {}, registry, repository, place);
}

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function parseConfig(text: string, path: string): DockerConfig {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // The parser's own message quotes the text, which holds passwords.
    throw failure(`${path}: is not JSON; log in anew, or correct it`);
  }
  const fits =
    isRecord(value) &&
    (value["auths"] === undefined || (isRecord(value["auths"]) && Object.values(value["auths"]).every(isRecord))) &&
    (value["credHelpers"] === undefined || isRecord(value["credHelpers"])) &&
    (value["credsStore"] === undefined || typeof value["credsStore"] === "string");
  if (!fits)
    throw failure(`${path}: is not a docker configuration: auths, credHelpers and credsStore have other types`);
  return value as DockerConfig;
}

/** Docker wrote keys as URLs once: `https://registry.example.com/v1/`. */
const plainKey = (key: string): string => key.replace(/^https?:\/\//, "").replace(/\/(?:v[12]\/?)?$/, "");

function credentialIn(
  auths: Readonly<Record<string, DockerAuth>>,
  registry: string,
  repository: string,
  path: string,
): RegistryCredential | undefined {
  const byKey = new Map(Object.entries(auths).map(([key, auth]) => [plainKey(key), auth]));
  const parts = [registry, ...repository.split("/")];
  for (let length = parts.length; length > 0; length--) {
    const key = parts.slice(0, length).join("/");
    const credential = credentialOf(byKey.get(key) ?? {}, `${path}: auths[${JSON.stringify(key)}]`);
    if (credential) return credential;
  }
  return undefined;
}

function credentialOf(auth: DockerAuth, place: string): RegistryCredential | undefined {
  if (auth.registrytoken) return { kind: "registry-token", token: auth.registrytoken };
  if (auth.identitytoken) return { kind: "identity-token", token: auth.identitytoken };
  if (auth.auth) {
    const decoded = Buffer.from(auth.auth, "base64").toString("utf8");
    const colon = decoded.indexOf(":");
    if (colon < 1) throw failure(`${place}.auth is not user:password in base64; log in anew`);
    // Docker pads with zero bytes.
    return {
      kind: "password",
      username: decoded.slice(0, colon),
      password: decoded.slice(colon + 1).replace(/\0+$/, ""),
    };
  }
  if (auth.username) return { kind: "password", username: auth.username, password: auth.password ?? "" };
  return undefined;
}

/** The protocol of docker-credential-helpers: the registry on standard input, JSON or a message on standard output. */
async function askHelper(
  helper: string,
  registry: string,
  runHelper: RunHelper,
): Promise<RegistryCredential | undefined> {
  if (!/^[A-Za-z0-9._-]+$/.test(helper))
    throw failure(`credential helper ${JSON.stringify(helper)}: is no name of a program docker-credential-…`);
  const program = `docker-credential-${helper}`;
  let result: Awaited<ReturnType<RunHelper>>;
  try {
    result = await runHelper(program, registry);
  } catch (error) {
    throw failure(
      `${program}: cannot be run (${quoted((error as Error).message)}); install it, or put it on PATH`,
      error,
    );
  }
  const { exitCode, stdout, stderr } = result;
  if (exitCode !== 0) {
    // The word of every helper for "none for this registry" (credentials/error.go).
    if (/credentials not found/i.test(stdout)) return undefined;
    throw failure(
      `${program} get: failed for ${registry} (${quoted(stderr || stdout) || `exit code ${exitCode}`}); run it by hand to see why`,
    );
  }
  let answer: unknown;
  try {
    answer = JSON.parse(stdout);
  } catch {
    answer = undefined;
  }
  const { Username: username, Secret: secret } = (answer ?? {}) as Record<string, unknown>;
  if (typeof username !== "string" || typeof secret !== "string")
    throw failure(
      `${program} get: did not print a Username and a Secret as JSON; run it by hand to see what it prints`,
    );
  if (username === "" && secret === "") return undefined;
  return username === "<token>"
    ? { kind: "identity-token", token: secret }
    : { kind: "password", username, password: secret };
}

/** A helper that asks a person would wait for ever. */
const helperTimeoutMs = 60_000;

const runProgram: RunHelper = (program, input) =>
  new Promise((resolve, reject) => {
    const child = spawn(program, ["get"], { stdio: ["pipe", "pipe", "pipe"], timeout: helperTimeoutMs });
    const [stdout, stderr]: [string[], string[]] = [[], []];
    child.stdout.setEncoding("utf8").on("data", (text: string) => stdout.push(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => stderr.push(text));
    // One that does not read its input is no failure of ours.
    child.stdin.on("error", () => undefined).end(input);
    child.on("error", reject);
    child.on("close", (exitCode) => resolve({ exitCode, stdout: stdout.join(""), stderr: stderr.join("") }));
  });
