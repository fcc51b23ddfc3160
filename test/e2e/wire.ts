import { connect, type TLSSocket } from "node:tls";
import { systemClock } from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";

/** What came back on a connection. */
export interface WireAnswer {
  readonly status: number;
  readonly body: string;
}

/** A connection of the administrator's, without a client in between: what is written goes out as it is. */
export function openWire(server: ControlPlane): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: "127.0.0.1",
      port: server.port,
      ca: server.caCertificate,
      cert: server.admin.certificate,
      key: server.admin.key,
      ALPNProtocols: ["http/1.1"],
    });
    socket.once("secureConnect", () => {
      socket.off("error", reject);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** Writes all of it, in pieces if given so, and reads one answer. */
export async function sendWire(
  server: ControlPlane,
  pieces: string | Buffer | readonly (string | Buffer)[],
  timeoutMs = 20_000,
): Promise<WireAnswer> {
  const socket = await openWire(server);
  try {
    // The server may answer and close before it has read all.
    socket.on("error", () => {});
    for (const piece of Array.isArray(pieces)
      ? (pieces as readonly (string | Buffer)[])
      : [pieces as string | Buffer]) {
      socket.write(piece);
    }
    return await answerOn(socket, timeoutMs);
  } finally {
    socket.destroy();
  }
}

/** The first answer on a connection. Rejects when the connection ends or the time is over before it is whole. */
export function answerOn(socket: TLSSocket, timeoutMs: number): Promise<WireAnswer> {
  let received = Buffer.alloc(0);
  return new Promise((resolve, reject) => {
    const timer = systemClock.setTimer(timeoutMs, () => {
      reject(new Error(`no answer within ${timeoutMs} ms, only ${JSON.stringify(received.toString())}`));
    });
    const look = (ended: boolean): void => {
      const answer = parseAnswer(received, ended);
      if (answer === undefined && !ended) return;
      timer.cancel();
      if (answer === undefined) reject(new Error(`closed after ${JSON.stringify(received.toString())}`));
      else resolve(answer);
    };
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      look(false);
    });
    socket.once("close", () => look(true));
  });
}

function parseAnswer(bytes: Buffer, ended: boolean): WireAnswer | undefined {
  const text = bytes.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return undefined;
  const head = text.slice(0, end);
  const status = Number(/^HTTP\/1\.[01] (\d+)/.exec(head)?.[1]);
  const rest = bytes.subarray(end + 4);
  const length = /^content-length: *(\d+)/im.exec(head)?.[1];
  if (length !== undefined && rest.length >= Number(length)) {
    return { status, body: rest.subarray(0, Number(length)).toString() };
  }
  if (/^transfer-encoding: *chunked/im.test(head)) {
    const body = unchunked(rest);
    return body === undefined ? undefined : { status, body: body.toString() };
  }
  return ended ? { status, body: rest.toString() } : undefined;
}

/** `undefined`: its last chunk has not come. */
function unchunked(bytes: Buffer): Buffer | undefined {
  const parts: Buffer[] = [];
  for (let at = 0; ;) {
    const end = bytes.indexOf("\r\n", at);
    if (end < 0) return undefined;
    const size = Number.parseInt(bytes.toString("latin1", at, end), 16);
    if (size === 0) return Buffer.concat(parts);
    if (bytes.length < end + 2 + size + 2) return undefined;
    parts.push(bytes.subarray(end + 2, end + 2 + size));
    at = end + 2 + size + 2;
  }
}
