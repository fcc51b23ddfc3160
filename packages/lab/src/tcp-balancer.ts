import { abortSocket } from "./abort-socket.ts";
import { connect, createServer } from "node:net";
import type { Socket } from "node:net";
import { listen } from "./network-gate.ts";

/** A loopback port. */
export interface BalancerTarget {
  readonly port: number;
}

/** Spreads TCP connections over backends in turn, as a Service does before the replicas of a webhook. */
export interface TcpBalancer {
  readonly port: number;
  readonly targets: readonly BalancerTarget[];
  /** Connections carried to each port so far. */
  readonly carried: ReadonlyMap<number, number>;
  add(target: BalancerTarget): void;
  /** No new connections go there. With `cut`, those that are open are reset as well. @default cut: false */
  remove(target: BalancerTarget, options?: { readonly cut?: boolean }): void;
  stop(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Starts a balancer on a free loopback port. A backend that refuses is skipped; when all do, the connection is reset. */
export async function startTcpBalancer(initial: readonly BalancerTarget[]): Promise<TcpBalancer> {
  let targets = [...initial];
  let turn = 0;
  const carried = new Map<number, number>();
  const open = new Map<Socket, number>();

  const serve = (outside: Socket): void => {
    const first = turn++;
    const candidates = targets.map((_, offset) => targets[(first + offset) % targets.length]);
    const tryNext = (): void => {
      const target = candidates.shift();
      if (target === undefined || outside.destroyed) {
        abortSocket(outside);
        return;
      }
      const inside = connect({ port: target.port, host: "127.0.0.1", noDelay: true });
      inside.once("error", tryNext);
      inside.once("connect", () => {
        inside.off("error", tryNext);
        // Its caller left while we connected: no close will tell us any more.
        if (outside.destroyed) {
          inside.destroy();
          return;
        }
        carried.set(target.port, (carried.get(target.port) ?? 0) + 1);
        open.set(outside, target.port);
        join(outside, inside);
      });
    };
    outside.on("error", () => {});
    outside.once("close", () => open.delete(outside));
    tryNext();
  };
  const server = createServer({ pauseOnConnect: true, noDelay: true }, serve);
  const port = await listen(server);
  const stop = async (): Promise<void> => {
    for (const socket of open.keys()) socket.destroy();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return {
    port,
    get targets() {
      return targets;
    },
    carried,
    add(target) {
      if (!targets.some((other) => other.port === target.port)) targets = [...targets, target];
    },
    remove(target, options = {}) {
      targets = targets.filter((other) => other.port !== target.port);
      if (options.cut !== true) return;
      for (const [socket, backend] of open) if (backend === target.port) abortSocket(socket);
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** Carries bytes both ways until either end is gone. */
function join(outside: Socket, inside: Socket): void {
  outside.pipe(inside).pipe(outside);
  for (const [one, other] of [
    [outside, inside],
    [inside, outside],
  ] as const) {
    one.on("error", () => abortSocket(other));
    one.on("close", () => other.destroy());
  }
}
