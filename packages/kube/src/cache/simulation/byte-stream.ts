/** A response body that is written as time goes on: what a socket is to its reader. */
export class ByteStream implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  #wake: (() => void) | undefined;
  #ended = false;
  #failure: unknown;
  #closed = false;

  /** Nobody reads any more. */
  get closed(): boolean {
    return this.#closed;
  }

  write(chunk: Uint8Array): void {
    if (this.#ended || this.#closed) return;
    this.#chunks.push(chunk);
    this.#wake?.();
  }

  /** The orderly end. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** A broken connection; what was written before it is still read. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#failure = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (chunk !== undefined) {
          yield chunk;
          continue;
        }
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#ended) return;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      this.#closed = true;
    }
  }
}
