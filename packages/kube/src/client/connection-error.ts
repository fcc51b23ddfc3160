/** Why no answer came, in words, and what to do about it. */
export interface ConnectionFailure {
  readonly problem: string;
  readonly advice: string;
}

const unknownAuthority: ConnectionFailure = {
  problem: "x509: the server's certificate is signed by an unknown authority",
  advice: "set certificate-authority of the cluster in the kubeconfig to the authority that signed it",
};

const clientCertificateRefused: ConnectionFailure = {
  problem: "the server refused our client certificate",
  advice:
    "check client-certificate of the user in the kubeconfig: it must be valid and signed by the cluster's authority",
};

const brokenConnection: ConnectionFailure = {
  problem: "the connection broke before the whole answer came",
  advice: "the call may or may not have been carried out; look at what is there, then try again",
};

/** By the `code` of Node's and undici's errors. */
const failures: Readonly<Record<string, ConnectionFailure>> = {
  ECONNREFUSED: {
    problem: "connection refused",
    advice: "check that the API server runs and that the address is right",
  },
  ENOTFOUND: { problem: "no such host", advice: "check the server's name in the kubeconfig" },
  EAI_AGAIN: { problem: "the name could not be looked up", advice: "check this machine's DNS" },
  ETIMEDOUT: { problem: "the connection timed out", advice: "check the address, firewalls and the proxy" },
  UND_ERR_CONNECT_TIMEOUT: { problem: "no connection in time", advice: "check the address, firewalls and the proxy" },
  EHOSTUNREACH: { problem: "no route to the host", advice: "check the address and this machine's network" },
  ENETUNREACH: { problem: "the network is unreachable", advice: "check the address and this machine's network" },
  ECONNRESET: brokenConnection,
  EPIPE: brokenConnection,
  UND_ERR_SOCKET: brokenConnection,
  UND_ERR_CLOSED: { problem: "the client was closed", advice: "make a new one" },
  UND_ERR_DESTROYED: { problem: "the client was closed", advice: "make a new one" },
  CERT_HAS_EXPIRED: {
    problem: "x509: the server's certificate has expired",
    advice: "renew it on the server, and check this machine's clock",
  },
  CERT_NOT_YET_VALID: {
    problem: "x509: the server's certificate is not valid yet",
    advice: "check this machine's clock",
  },
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT: unknownAuthority,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: unknownAuthority,
  SELF_SIGNED_CERT_IN_CHAIN: unknownAuthority,
  DEPTH_ZERO_SELF_SIGNED_CERT: unknownAuthority,
  CERT_SIGNATURE_FAILURE: unknownAuthority,
  ERR_SSL_WRONG_VERSION_NUMBER: {
    problem: "the server does not speak TLS there",
    advice: "check the server's port, or write http:// for a plain-text server",
  },
  EPROTO: { problem: "TLS could not be agreed on", advice: "check the server's port and its TLS versions" },
  HPE_INVALID_CONSTANT: { problem: "the server does not speak HTTP there", advice: "check the server's URL and port" },
};

/** Looks through `cause` and aggregated errors for the first code that is known. */
export function connectionFailure(error: unknown): ConnectionFailure {
  for (let current: unknown = error, depth = 0; current instanceof Error && depth < 8; depth++) {
    const known = knownFailure(current);
    if (known) return known;
    const inner: unknown = current instanceof AggregateError ? current.errors[0] : undefined;
    current = inner ?? current.cause;
  }
  const text = error instanceof Error ? error.message || error.name : String(error);
  return { problem: oneLine(text), advice: "check the server's address and that it runs" };
}

function knownFailure(error: Error): ConnectionFailure | undefined {
  const code = (error as { readonly code?: unknown }).code;
  if (typeof code !== "string") return undefined;
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID") {
    return {
      problem: `x509: ${oneLine(error.message)}`,
      advice: "use a name that the certificate has, or set tls-server-name in the kubeconfig",
    };
  }
  if (code === "ERR_OSSL_X509_KEY_VALUES_MISMATCH") {
    return {
      problem: "client-key does not belong to client-certificate",
      advice: "put the pair together again in the kubeconfig",
    };
  }
  if (code.startsWith("ERR_OSSL_")) {
    return {
      problem: `a certificate or key cannot be read (${oneLine(error.message)})`,
      advice: "certificate-authority, client-certificate and client-key of the kubeconfig must be PEM",
    };
  }
  if (/^ERR_SSL_.*ALERT.*(CERTIFICATE|CA)/.test(code)) return clientCertificateRefused;
  const proxy = /Proxy response \((\d+)\)/.exec(error.message)?.[1];
  if (proxy !== undefined) {
    return {
      problem: `the proxy answered ${proxy} to CONNECT`,
      advice:
        proxy === "407" ? "put user and password into the proxy's URL" : "check that the proxy may reach the server",
    };
  }
  return failures[code];
}

const oneLine = (text: string): string => text.replaceAll(/\s+/g, " ").trim();
