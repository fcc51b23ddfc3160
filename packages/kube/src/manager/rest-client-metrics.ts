import { Counter, Histogram, type Registry } from "prom-client";
import type { Transport } from "../client/transport.ts";
import type { Clock } from "../core/clock.ts";

/**
 * Counts the requests of a transport under client-go's names: `rest_client_requests_total` by code, method and host
 * (`<error>` when there was no answer) and `rest_client_request_duration_seconds` until the answer's head. Call once
 * per registry.
 *
 * @example
 * const client = createClient({ transport: withRequestMetrics(transport, { registry, clock, host: "10.0.0.1:6443" }) });
 */
export function withRequestMetrics<T extends Transport>(
  transport: T,
  options: { readonly registry: Registry; readonly clock: Clock; readonly host: string },
): T {
  const { registry, clock, host } = options;
  const registers = [registry];
  const requests = new Counter({
    name: "rest_client_requests_total",
    help: "Number of HTTP requests, partitioned by status code, method, and host.",
    labelNames: ["code", "method", "host"],
    registers,
  });
  const duration = new Histogram({
    name: "rest_client_request_duration_seconds",
    help: "Request latency in seconds. Broken down by verb, and host.",
    labelNames: ["verb", "host"],
    buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
    registers,
  });
  const counted: Transport = async (request, signal) => {
    const { method } = request;
    const started = clock.now();
    let code = "<error>";
    try {
      const response = await transport(request, signal);
      code = String(response.status);
      return response;
    } finally {
      requests.inc({ code, method, host });
      if (request.kind !== "watch") duration.observe({ verb: method, host }, (clock.now() - started) / 1000);
    }
  };
  // A transport may carry more than the call (`close`).
  return Object.assign(counted, transport);
}
