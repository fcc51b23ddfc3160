import { createClient, loadKubeconfig, type Client } from "@fleetwright/kube";
import type { CommandContext } from "./command.ts";

/** A client for the cluster that a command's options name. 0 is no limit. */
export function connect(
  context: CommandContext,
  options: { readonly kubeconfig: string; readonly context: string },
  limits: { readonly qps?: number; readonly burst?: number } = {},
): Client {
  const config = loadKubeconfig({
    env: context.env,
    ...(options.kubeconfig === "" ? {} : { kubeconfig: options.kubeconfig }),
    ...(options.context === "" ? {} : { context: options.context }),
  });
  return createClient({
    kubeconfig: config,
    clock: context.clock,
    ...(limits.qps ? { qps: limits.qps, burst: limits.burst || limits.qps } : {}),
  });
}
