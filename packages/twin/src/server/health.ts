import { healthPaths } from "../discovery/other-paths.ts";
import type { Call, Reply } from "../machinery/request.ts";

const paths = new Set(healthPaths);

const text = (body: string): Reply => ({
  status: 200,
  headers: { "content-type": "text/plain; charset=utf-8", "x-content-type-options": "nosniff" },
  body,
});

/** Health, as probes and `kubectl get --raw` ask for it. */
export function healthReply(call: Call): Reply | undefined {
  if (!paths.has(call.path)) return undefined;
  if (!call.query.has("verbose")) return text("ok");
  return text(`[+]ping ok\n${call.path.slice(1)} check passed\n`);
}
