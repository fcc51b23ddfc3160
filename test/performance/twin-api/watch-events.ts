import { sentAnnotation } from "./objects.ts";
import { quantile } from "./load.ts";

const newline = 0x0a;

/** Takes HTTP's chunks apart as they come: a connection's bytes in, the body's bytes out. */
export function chunkedBody(onBody: (data: Buffer) => void): (data: Buffer) => void {
  let left = 0;
  let line = "";
  let inHead = true;
  return (data) => {
    let at = 0;
    while (at < data.length) {
      if (left > 0) {
        const end = Math.min(data.length, at + left);
        onBody(data.subarray(at, end));
        left -= end - at;
        at = end;
        continue;
      }
      const end = data.indexOf(newline, at);
      if (end < 0) {
        line += data.toString("latin1", at);
        return;
      }
      line = (line + data.toString("latin1", at, end)).trimEnd();
      at = end + 1;
      if (inHead) {
        if (line.startsWith("HTTP/1.1 ") && !line.startsWith("HTTP/1.1 200")) throw new Error(`a watch got ${line}`);
        if (line === "") inHead = false;
      } else if (line !== "") left = Number.parseInt(line, 16);
      line = "";
    }
  };
}

/** Cuts a body into lines, wherever its pieces end. */
export function lines(onLine: (line: Buffer) => void): (data: Buffer) => void {
  let rest: Buffer[] = [];
  return (data) => {
    let at = 0;
    for (let end = data.indexOf(newline); end >= 0; end = data.indexOf(newline, at)) {
      const line = data.subarray(at, end);
      onLine(rest.length === 0 ? line : Buffer.concat([...rest, line]));
      rest = [];
      at = end + 1;
    }
    if (at < data.length) rest.push(data.subarray(at));
  };
}

/** How long events took from the pod's sending to a watcher, over all watchers. */
export class Latencies {
  #samples = new Float64Array(1 << 16);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  add(milliseconds: number): void {
    if (this.#count === this.#samples.length) {
      const larger = new Float64Array(this.#samples.length * 2);
      larger.set(this.#samples);
      this.#samples = larger;
    }
    this.#samples[this.#count++] = milliseconds;
  }

  summary(): { readonly events: number; readonly p50Ms: number; readonly p99Ms: number } {
    const samples = this.#samples.subarray(0, this.#count);
    return { events: this.#count, p50Ms: quantile(samples, 0.5), p99Ms: quantile(samples, 0.99) };
  }
}

function textAfter(line: Buffer, mark: string): string {
  const start = line.indexOf(mark);
  if (start < 0) return "";
  const from = start + mark.length;
  return line.toString("latin1", from, line.indexOf('"', from));
}

/** What one watcher saw: whether its events came in order, and were its own. */
export class Watcher {
  readonly #node: string | undefined;
  readonly #latencies: Latencies;
  #revision = 0;
  events = 0;
  wrong = 0;

  constructor(latencies: Latencies, node?: string) {
    this.#latencies = latencies;
    this.#node = node;
  }

  see(line: Buffer): void {
    if (!line.toString("latin1", 0, 16).startsWith('{"type":"ADDED"')) {
      this.wrong++;
      return;
    }
    const revision = Number(textAfter(line, '"resourceVersion":"'));
    if (!(revision > this.#revision)) this.wrong++;
    this.#revision = revision;
    if (this.#node !== undefined && textAfter(line, '"nodeName":"') !== this.#node) this.wrong++;
    this.events++;
    const sentMs = Number(textAfter(line, `"${sentAnnotation}":"`));
    this.#latencies.add(performance.timeOrigin + performance.now() - sentMs);
  }
}
