import type { Registry } from "prom-client";
import { createClient, explainConnectionError, loadKubeconfig, type Client } from "@fleetwright/kube";
import type { CommandContext } from "./command.ts";

export interface ClusterOptionValues {
  /** `""`: where kubectl looks. */
  readonly kubeconfig: string;
  /** `""`: the current one. */
  readonly context: string;
}

/**
 * Works with a client for the cluster that a command's options name. Its first call is made here, so that a server that
 * can't be reached or does not know us is explained in one line.
 *
 * @param how `qps` and `burst`: calls a second and at once, 0 is no limit; `metrics`: where requests are counted
 */
export async function withCluster<T>(
  context: CommandContext,
  options: ClusterOptionValues,
  work: (client: Client) => Promise<T>,
  how: { readonly qps?: number; readonly burst?: number; readonly metrics?: Registry } = {},
): Promise<T> {
  const config = loadKubeconfig({
    env: context.env,
    ...(options.kubeconfig === "" ? {} : { kubeconfig: options.kubeconfig }),
    ...(options.context === "" ? {} : { context: options.context }),
  });
  const client = createClient({
    kubeconfig: config,
    clock: context.clock,
    ...(how.qps ? { qps: how.qps, burst: how.burst || how.qps } : {}),
    ...(how.metrics ? { metrics: how.metrics } : {}),
  });
  try {
    try {
      await client.raw("GET", "/version", { signal: context.signal, timeoutMs: 10_000 });
    } catch (error) {
      if (context.signal.aborted) throw context.signal.reason;
      throw explainConnectionError(error, config, context.clock);
    }
    return await work(client);
  } finally {
    await client.close();
  }
}
