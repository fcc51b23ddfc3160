import { Namespaces, createClient, sleep, systemClock } from "@fleetwright/kube";
import type { Client } from "@fleetwright/kube";

/**
 * Does for namespaces what upstream's suite waits for and an API server alone does not: a new namespace gets its default
 * service account and `kube-root-ca.crt`, a deleted one is finalized (what is in it stays: names are never used twice).
 */
export function keepNamespaces(kubeconfig: string, caCertificate: string): { stop(): Promise<void> } {
  const client = createClient({ kubeconfig });
  const stopping = new AbortController();
  const running = keep(client, caCertificate, stopping.signal);
  return {
    stop: async () => {
      stopping.abort();
      await running;
      await client.close();
    },
  };
}

async function keep(client: Client, caCertificate: string, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      const parameters = { sendInitialEvents: true, resourceVersionMatch: "NotOlderThan", signal } as const;
      for await (const { type, object } of client.watch(Namespaces, parameters)) {
        const name = object.metadata?.name;
        if (name === undefined || (type !== "ADDED" && type !== "MODIFIED")) continue;
        if (object.metadata?.deletionTimestamp !== undefined) await finalize(client, name);
        else if (type === "ADDED") await furnish(client, name, caCertificate);
      }
    } catch {
      // The watch is opened again; what it missed comes with its first events.
      if (!signal.aborted) await sleep(systemClock, 200, signal).catch(() => undefined);
    }
  }
}

async function furnish(client: Client, namespace: string, caCertificate: string): Promise<void> {
  const path = `/api/v1/namespaces/${namespace}`;
  const parts = [
    client.raw("POST", `${path}/serviceaccounts`, { body: { metadata: { name: "default" } } }),
    client.raw("POST", `${path}/configmaps`, {
      body: { metadata: { name: "kube-root-ca.crt" }, data: { "ca.crt": caCertificate } },
    }),
  ];
  // They may be there already.
  await Promise.allSettled(parts);
}

async function finalize(client: Client, name: string): Promise<void> {
  const body = { apiVersion: "v1", kind: "Namespace", metadata: { name }, spec: { finalizers: [] } };
  await client.raw("PUT", `/api/v1/namespaces/${name}/finalize`, { body }).catch(() => undefined);
}
