import { request } from "node:https";
import type { KeyPair } from "@fleetwright/kube";

/** One GET with a client certificate, on a connection of its own. `undefined`: no answer. */
export function probe(
  url: string,
  trust: { readonly caCertificate: string; readonly credentials: KeyPair },
): Promise<{ readonly status: number; readonly body: string } | undefined> {
  return new Promise((resolve) => {
    const call = request(
      url,
      {
        ca: trust.caCertificate,
        cert: trust.credentials.certificate,
        key: trust.credentials.key,
        agent: false,
        timeout: 5000,
      },
      (response) => {
        let body = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode ?? 0, body }));
        response.on("error", () => resolve(undefined));
      },
    );
    call.on("timeout", () => call.destroy());
    call.on("error", () => resolve(undefined));
    call.end();
  });
}
