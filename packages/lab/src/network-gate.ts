import { abortSocket } from "./abort-socket.ts";
import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";

/** `refuse`: connections are reset. `blackhole`: they are accepted, and nothing goes through either way. */
export type Partition = "none" | "refuse" | "blackhole";

/** The two ends of one connection through the gate. */
interface Pair {
  readonly outside: Socket;
  inside: Socket | undefined;
  frozen: boolean;
  /** One end is gone while the pair was frozen: the other end learns of it when it thaws. */
  broken: boolean;
}

/** Carries TCP connections to a loopback port, and can stop doing so in the ways a network does. */
export interface NetworkGate {
  readonly port: number;
  /** Connections that are open or held. */
  readonly connections: number;
  /** What happens to connections from now on, those already open included. A frozen one goes on when it ends. */
  partition(how: Partition): void;
  /** Half-open: connections that are open now carry nothing ever again and are not closed; new ones work. */
  freeze(): number;
  /** Resets the connections that are open now; new ones work. */
  cut(): number;
  close(): Promise<void>;
}

/** Opens a gate on a free loopback port before `targetPort`. */
export async function openNetworkGate(targetPort: number): Promise<NetworkGate> {
  const pairs = new Set<Pair>();
  const frozenForGood = new Set<Pair>();
  let mode: Partition = "none";

  const drop = (pair: Pair): void => {
    abortSocket(pair.outside);
    pair.inside?.destroy();
    pairs.delete(pair);
    frozenForGood.delete(pair);
  };
  const endedOn = (pair: Pair): void => {
    if (pair.frozen) pair.broken = true;
    else drop(pair);
  };
  const flow = (pair: Pair): void => {
    pair.frozen = false;
    if (pair.broken) {
      drop(pair);
      return;
    }
    if (pair.inside === undefined) {
      const inside = connect({ port: targetPort, host: "127.0.0.1", noDelay: true });
      inside.on("error", () => endedOn(pair));
      // What the server sent before it closed is still on its way out.
      inside.on("close", () => {
        if (!pair.outside.writableEnded) endedOn(pair);
      });
      pair.inside = inside;
    }
    pair.outside.pipe(pair.inside);
    pair.inside.pipe(pair.outside);
  };
  const freezePair = (pair: Pair): void => {
    pair.frozen = true;
    if (pair.inside) {
      pair.outside.unpipe(pair.inside);
      pair.inside.unpipe(pair.outside);
      pair.inside.pause();
    }
    pair.outside.pause();
  };

  const server = createServer({ pauseOnConnect: true, noDelay: true }, (outside) => {
    if (mode === "refuse") {
      abortSocket(outside);
      return;
    }
    const pair: Pair = { outside, inside: undefined, frozen: mode === "blackhole", broken: false };
    pairs.add(pair);
    outside.on("error", () => endedOn(pair));
    outside.on("close", () => endedOn(pair));
    if (!pair.frozen) flow(pair);
  });
  const port = await listen(server);

  const cut = (): number => {
    const count = pairs.size;
    for (const pair of pairs) drop(pair);
    return count;
  };
  return {
    port,
    get connections() {
      return pairs.size;
    },
    partition(how) {
      mode = how;
      if (how === "refuse") cut();
      for (const pair of pairs) {
        if (frozenForGood.has(pair)) continue;
        if (how === "blackhole" && !pair.frozen) freezePair(pair);
        if (how === "none" && pair.frozen) flow(pair);
      }
    },
    freeze() {
      let count = 0;
      for (const pair of pairs) {
        if (frozenForGood.has(pair)) continue;
        frozenForGood.add(pair);
        if (!pair.frozen) freezePair(pair);
        count++;
      }
      return count;
    },
    cut,
    async close() {
      for (const pair of pairs) drop(pair);
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/** Listens on a free loopback port. */
export function listen(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
