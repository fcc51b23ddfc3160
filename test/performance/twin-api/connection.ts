import { connect } from "node:tls";
import type { TLSSocket } from "node:tls";

/** Where and as whom to call. */
export interface Target {
  readonly port: number;
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

export interface Answer {
  readonly status: number;
  readonly bytes: number;
  /** Of an answer that is no success, and when it was asked for. */
  readonly body: string;
}

/**
 * One keep-alive connection with one request in flight. It knows just enough HTTP/1.1 for what the servers under test send: the
 * load generator shares two cores with the server, and a whole client would take more of them than the server does.
 */
export interface Connection {
  call(head: string, body?: Buffer, keepBody?: boolean): Promise<Answer>;
  /** Sends a GET whose answer does not end; every piece of its body comes to `onData`. */
  stream(head: string, onData: (data: Buffer) => void): void;
  close(): void;
}

interface Pending {
  resolve(answer: Answer): void;
  reject(error: Error): void;
  readonly keepBody: boolean;
  readonly chunks: Buffer[];
  status: number;
  received: number;
  /** Of the body; -1 in chunks. */
  length: number;
}

const chunkedEnd = Buffer.from("0\r\n\r\n");

function headOf(data: Buffer): { readonly status: number; readonly length: number; readonly end: number } {
  const end = data.indexOf("\r\n\r\n") + 4;
  if (end < 4) throw new Error("an answer's head came in pieces");
  const text = data.toString("latin1", 0, end);
  const length = /content-length: (\d+)/i.exec(text)?.[1];
  return { status: Number(text.slice(9, 12)), length: length === undefined ? -1 : Number(length), end };
}

export async function openConnection(target: Target): Promise<Connection> {
  const socket = await secureSocket(target);
  let pending: Pending | undefined;
  let onStream: ((data: Buffer) => void) | undefined;

  function finish(current: Pending): void {
    pending = undefined;
    const failed = current.status < 200 || current.status > 299;
    current.resolve({
      status: current.status,
      bytes: current.received,
      body: failed || current.keepBody ? Buffer.concat(current.chunks).toString() : "",
    });
  }

  socket.on("data", (data: Buffer) => {
    if (onStream !== undefined) {
      onStream(data);
      return;
    }
    const current = pending;
    if (current === undefined) return;
    let body = data;
    if (current.status === 0) {
      const { status, length, end } = headOf(data);
      current.status = status;
      current.length = length;
      body = data.subarray(end);
    }
    current.received += body.length;
    if (current.keepBody || current.status > 299) current.chunks.push(body);
    // Neither server's JSON has a line feed after a carriage return, so this ends the last chunk only.
    if (current.length < 0 ? data.subarray(-5).equals(chunkedEnd) : current.received >= current.length) finish(current);
  });
  const broken = (error?: Error): void => pending?.reject(error ?? new Error("the server has closed a connection"));
  socket.on("error", broken);
  socket.on("close", () => broken());

  return {
    call: (head, body, keepBody = false) =>
      new Promise<Answer>((resolve, reject) => {
        pending = { resolve, reject, keepBody, chunks: [], status: 0, received: 0, length: -1 };
        if (body === undefined) socket.write(`${head}\r\n\r\n`, "latin1");
        else {
          const start = `${head}\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`;
          const message = Buffer.allocUnsafe(start.length + body.length);
          message.write(start, "latin1");
          body.copy(message, start.length);
          socket.write(message);
        }
      }),
    stream(head, onData) {
      onStream = onData;
      socket.write(`${head}\r\n\r\n`, "latin1");
    },
    close: () => void socket.destroy(),
  };
}

function secureSocket({ port, ca, certificate, key }: Target): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, ca, cert: certificate, key, ALPNProtocols: ["http/1.1"] }, () => {
      socket.off("error", reject);
      socket.setNoDelay(true);
      resolve(socket);
    });
    socket.once("error", reject);
  });
}

/** The first lines of a request; the caller adds the empty line. */
export const requestHead = (method: string, path: string): string =>
  `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: bench/1\r\naccept: application/json`;
