import { FleetwrightError, type ObjectKey } from "@fleetwright/kube";

export interface Address {
  readonly host: string;
  readonly port: number;
}

/**
 * Reads `host:port`, `[v6]:port` or `:port` (all addresses).
 *
 * @throws {FleetwrightError} `FW_FLAG` naming the flag
 */
export function parseAddress(value: string, flagName: string): Address {
  const match = /^(?:\[([^\]]+)\]|([^:]*)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new FleetwrightError("FW_FLAG", `${flagName} "${value}": write host:port, for example 127.0.0.1:9443`);
  }
  return { host: match[1] ?? (match[2] || "0.0.0.0"), port };
}

/**
 * Reads `namespace/name`; `""` is the fallback.
 *
 * @throws {FleetwrightError} `FW_FLAG`
 */
export function parseServiceName(value: string, fallback: Required<ObjectKey>): Required<ObjectKey> {
  if (value === "") return fallback;
  const match = /^([a-z0-9-]+)\/([a-z0-9-]+)$/.exec(value);
  if (!match?.[1] || !match[2])
    throw new FleetwrightError("FW_FLAG", `--webhook-service "${value}": write namespace/name`);
  return { namespace: match[1], name: match[2] };
}
