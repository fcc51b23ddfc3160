import { once } from "node:events";
import { connect, createServer } from "node:net";
import type { Server, Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { listen, openNetworkGate } from "./network-gate.ts";
import { startTcpBalancer } from "./tcp-balancer.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

/** A server that answers each line with its name and the line. */
async function echo(name: string): Promise<{ port: number; server: Server; end: () => void }> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("data", (data: Buffer) => socket.write(`${name}:${data.toString()}`));
  });
  const port = await listen(server);
  const end = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  closers.push(end);
  return { port, server, end };
}

async function dial(port: number): Promise<Socket> {
  const socket = connect({ port, host: "127.0.0.1" });
  closers.push(() => socket.destroy());
  await once(socket, "connect");
  socket.on("error", () => {});
  return socket;
}

const closeOf = (socket: Socket): Promise<void> => new Promise((resolve) => socket.once("close", () => resolve()));

async function ask(socket: Socket, line: string): Promise<string> {
  socket.write(line);
  const [answer] = (await once(socket, "data")) as [Buffer];
  return answer.toString();
}

/** Proves that a socket stays mute by what happens elsewhere meanwhile: a whole exchange on another connection. */
async function isMuteWhile(socket: Socket, exchange: () => Promise<unknown>): Promise<boolean> {
  let heard = false;
  const hear = (): void => void (heard = true);
  socket.on("data", hear).on("close", hear);
  await exchange();
  socket.off("data", hear).off("close", hear);
  return !heard;
}

describe("network gate", () => {
  it("carries bytes both ways", async () => {
    const gate = await openNetworkGate((await echo("a")).port);
    closers.push(() => gate.close());
    expect(await ask(await dial(gate.port), "hi")).toBe("a:hi");
  });

  it("black-holes open and new connections, and delivers what was held once it is open again", async () => {
    const { port } = await echo("a");
    const gate = await openNetworkGate(port);
    closers.push(() => gate.close());
    const open = await dial(gate.port);
    expect(await ask(open, "1")).toBe("a:1");
    gate.partition("blackhole");
    const late = await dial(gate.port);
    open.write("2");
    late.write("3");
    const direct = await dial(port);
    expect(await isMuteWhile(open, () => ask(direct, "x"))).toBe(true);
    expect(await isMuteWhile(late, () => ask(direct, "y"))).toBe(true);
    const answers = Promise.all([once(open, "data"), once(late, "data")]);
    gate.partition("none");
    expect((await answers).map(([data]) => String(data))).toEqual(["a:2", "a:3"]);
  });

  it("resets connections when it refuses", async () => {
    const gate = await openNetworkGate((await echo("a")).port);
    closers.push(() => gate.close());
    const open = await dial(gate.port);
    await ask(open, "1");
    const closed = closeOf(open);
    gate.partition("refuse");
    await closed;
    const refused = connect({ port: gate.port, host: "127.0.0.1" });
    const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");
  });

  it("freezes those that are open for good, and lets new ones work", async () => {
    const gate = await openNetworkGate((await echo("a")).port);
    closers.push(() => gate.close());
    const open = await dial(gate.port);
    await ask(open, "1");
    expect(gate.freeze()).toBe(1);
    gate.partition("none");
    open.write("2");
    const fresh = await dial(gate.port);
    expect(await isMuteWhile(open, () => ask(fresh, "3"))).toBe(true);
  });
});

describe("TCP balancer", () => {
  it("takes its targets in turn, and those added later too", async () => {
    const [a, b, c] = [await echo("a"), await echo("b"), await echo("c")];
    const balancer = await startTcpBalancer([a, b]);
    closers.push(() => balancer.stop());
    const names = async (count: number): Promise<string> => {
      const answers: string[] = [];
      for (let call = 0; call < count; call++) answers.push(await ask(await dial(balancer.port), "."));
      return answers.map((answer) => answer[0]).join("");
    };
    expect(await names(4)).toBe("abab");
    balancer.add(c);
    expect((await names(3)).split("").toSorted().join("")).toBe("abc");
    balancer.remove(a);
    expect(await names(4)).not.toContain("a");
  });

  it("skips a dead backend, and resets when all are dead", async () => {
    const [a, b] = [await echo("a"), await echo("b")];
    const balancer = await startTcpBalancer([a, b]);
    closers.push(() => balancer.stop());
    a.end();
    expect(await ask(await dial(balancer.port), "1")).toBe("b:1");
    expect(await ask(await dial(balancer.port), "2")).toBe("b:2");
    b.end();
    const refused = connect({ port: balancer.port, host: "127.0.0.1" });
    const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");
  });

  it("cuts the connections of a target that is removed with cut, and no others", async () => {
    const [a, b] = [await echo("a"), await echo("b")];
    const balancer = await startTcpBalancer([a, b]);
    closers.push(() => balancer.stop());
    const [first, second] = [await dial(balancer.port), await dial(balancer.port)];
    expect([await ask(first, "1"), await ask(second, "2")]).toEqual(["a:1", "b:2"]);
    const closed = closeOf(first);
    balancer.remove(a, { cut: true });
    await closed;
    expect(await ask(second, "3")).toBe("b:3");
  });
});
