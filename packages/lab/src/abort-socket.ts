import type { Socket } from "node:net";

/**
 * Breaks a connection at once: the other end sees a reset where that is possible.
 *
 * libuv can't reset a socket that has begun to shut down (`uv_tcp_close_reset` answers EINVAL), and Node then never closes
 * its handle: the process could not end.
 */
export function abortSocket(socket: Socket): void {
  if (socket.writableEnded || socket.connecting) socket.destroy();
  else socket.resetAndDestroy();
}
