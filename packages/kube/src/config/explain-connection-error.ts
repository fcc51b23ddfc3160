import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { connectionFailure } from "../client/connection-error.ts";
import type { Clock } from "../core/clock.ts";
import { ApiError, FleetwrightError, TransportError } from "../core/errors.ts";
import type { ClusterConfig, TextSource } from "./cluster-config.ts";

/**
 * Why a program cannot work with the server that it was given, in one line that says what to do: for the moment of
 * start, where the first call fails. Errors of the kubeconfig itself and of credential plugins say so already and come
 * back as they are.
 *
 * @param clock tells whether our client certificate has expired
 */
export function explainConnectionError(error: unknown, config: ClusterConfig, clock: Clock): FleetwrightError {
  const server = `${config.server} (${config.source})`;
  const explained = (message: string): FleetwrightError =>
    new FleetwrightError("FW_KUBE_UNREACHABLE", `${server}: ${message}`, { cause: error });
  if (error instanceof TransportError) {
    const expired = clientCertificateProblem(config, clock.now());
    if (expired !== undefined) return explained(expired);
    // Without a cause it is our own deadline, whose message says all.
    if (error.cause === undefined) return explained(error.message);
    const { problem, advice } = connectionFailure(error.cause);
    return explained(`${problem}; ${advice}`);
  }
  if (error instanceof ApiError && error.httpStatus === 401) {
    return explained(
      clientCertificateProblem(config, clock.now()) ??
        `the server does not know us (401 ${error.message}); check the token or certificate of the kubeconfig's user`,
    );
  }
  if (error instanceof ApiError && error.httpStatus === 403) {
    return explained(`not allowed: ${error.message}; grant it by a Role or ClusterRole`);
  }
  if (error instanceof ApiError) return explained(`${error.message}; check that the API server is well`);
  if (error instanceof FleetwrightError) return error;
  const { problem, advice } = connectionFailure(error);
  return explained(`${problem}; ${advice}`);
}

/** kube-apiserver answers 401 to an expired client certificate, without saying which of many reasons it was. */
function clientCertificateProblem(config: ClusterConfig, now: number): string | undefined {
  const pem = config.clientCertificate && textOf(config.clientCertificate.cert);
  if (pem === undefined) return undefined;
  const certificate = parseCertificate(pem);
  if (certificate === undefined)
    return "the client certificate is not PEM; correct client-certificate in the kubeconfig";
  const { validFromDate, validToDate } = certificate;
  if (now > validToDate.getTime()) {
    return `the client certificate expired at ${validToDate.toISOString()}; get a new one from who runs the cluster`;
  }
  if (now < validFromDate.getTime()) {
    return `the client certificate is valid only from ${validFromDate.toISOString()} on; check this machine's clock`;
  }
  return undefined;
}

function parseCertificate(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem);
  } catch {
    return undefined;
  }
}

function textOf(source: TextSource): string | undefined {
  if (source.kind === "data") return source.text;
  try {
    return readFileSync(source.path, "utf8");
  } catch {
    return undefined;
  }
}
