import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import type { Random } from "@fleetwright/kube";
import { labError } from "./errors.ts";

/**
 * A loopback port that nobody listens on now. Whoever binds it later must be ready to lose the race and ask again.
 *
 * It lies below the range that the kernel gives to outgoing connections: a server that is restarted on its port would
 * otherwise find it taken by a client (on loopback even by one that, retrying, connected to itself).
 */
export async function freePort(random: Random): Promise<number> {
  const first = 10_240;
  const last = Math.max(first + 1000, outgoingRangeStart() - 1);
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = first + Math.floor(random.next() * (last - first));
    if (await canListen(port)) return port;
  }
  throw labError(
    "FW_LAB_START",
    `no free port between ${first} and ${last} on 127.0.0.1 in 200 tries: end what listens there`,
  );
}

function canListen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
  });
}

function outgoingRangeStart(): number {
  try {
    return Number(readFileSync("/proc/sys/net/ipv4/ip_local_port_range", "utf8").split(/\s+/)[0]);
  } catch {
    return 32_768;
  }
}
