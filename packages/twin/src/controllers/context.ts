import { createClient, createCoreEventRecorder } from "@fleetwright/kube";
import type { Cache, Client, Clock, CoreEventRecorder, Logger, Random, Transport, UserInfo } from "@fleetwright/kube";

/** What runs beside the API server until the signal aborts: a controller, a loop. */
export interface Part {
  readonly name: string;
  start(signal: AbortSignal): Promise<void>;
}

/** What every controller of the cluster gets. */
export interface ControllerContext {
  /**
   * Calls as one of kube-controller-manager's controllers (`deployment-controller`): its service account in kube-system,
   * whose rights the server's bootstrap roles give; writes are `kube-controller-manager`'s.
   */
  clientOf(name: string): Client;
  /** All controllers', the scheduler's and the nodes' one view. Objects in it are shared: never change them. They have no managedFields. */
  readonly cache: Cache;
  /**
   * @param component as in `source.component`: `deployment-controller`
   * @param account whose service account writes them. @default the component's
   */
  eventsOf(component: string, account?: string): CoreEventRecorder;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** PEM: the authority of the server's certificate, for `kube-root-ca.crt`. */
  readonly caCertificate: string;
  /**
   * When a node was last known alive, in milliseconds, where heartbeats are derived from the clock rather than written;
   * `undefined`: its Lease and status say it.
   */
  readonly heartbeatOf: (nodeName: string) => number | undefined;
}

/** Starts nothing yet: returns what runs. Informers are asked for here, so that they sync before anything starts. */
export type Controllers = (context: ControllerContext) => readonly Part[];

const version = "v1.36.3";

const serviceAccount = (name: string): UserInfo => ({
  username: `system:serviceaccount:kube-system:${name}`,
  groups: ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"],
});

/** @param transport calls without a connection, as any user */
export function createControllerContext(options: {
  readonly transport: (user: UserInfo) => Transport;
  readonly cache: Cache;
  readonly caCertificate: string;
  readonly heartbeatOf?: (nodeName: string) => number | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
}): ControllerContext {
  const { transport, clock, logger } = options;
  const clients = new Map<string, Client>();
  const clientOf = (name: string): Client => {
    const made =
      clients.get(name) ??
      createClient({
        transport: transport(serviceAccount(name)),
        clock,
        logger,
        // The server is in this process and always answers.
        timeoutMs: Infinity,
        // Controllers know what is deprecated: they serve it.
        onWarning() {},
        userAgent: `kube-controller-manager/${version} (linux/amd64) kubernetes/system:serviceaccount:kube-system:${name}`,
      });
    clients.set(name, made);
    return made;
  };
  const recorders = new Map<string, CoreEventRecorder>();
  return {
    heartbeatOf: () => undefined,
    ...options,
    clientOf,
    eventsOf(component, account = component) {
      const recorder =
        recorders.get(component) ??
        createCoreEventRecorder({ client: clientOf(account), clock, logger, source: { component } });
      recorders.set(component, recorder);
      return recorder;
    },
  };
}
