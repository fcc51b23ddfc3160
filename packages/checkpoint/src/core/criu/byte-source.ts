import { checkpointError } from "../../errors.ts";

/** What a parser asks of its bytes: the next `length` of them, or all that are left up to `limit`. */
interface Ask {
  readonly length: number;
  /** What the bytes are, for the error when there are too few. */
  readonly what: string;
  /** `end`: none at all is an answer too. `rest`: take all that are left, `length` at most. */
  readonly mode?: "end" | "rest";
}

/** A parser that runs on whole buffers and on streams alike: it yields what it needs or what it found. */
export type Parser<T> = Generator<Ask | { readonly found: T }, void, Uint8Array>;
export type Step<T> = Generator<Ask, T, Uint8Array>;

const empty: Uint8Array = new Uint8Array(0);

function tooShort({ what, length }: Ask, name: string, offset: number, left: number): Error {
  return checkpointError(
    "FW_CHECKPOINT_IMAGE",
    `${name}: at byte ${offset}: ${what} needs ${length} bytes, ${left} left: the image is truncated or a length in it is wrong`,
  );
}

function tooLong({ what, length }: Ask, name: string, offset: number): Error {
  return checkpointError(
    "FW_CHECKPOINT_LIMIT",
    `${name}: at byte ${offset}: ${what} is longer than the limit of ${length} bytes`,
  );
}

/** Runs a parser over a buffer; what it finds holds views of the buffer. */
export function* parseBuffer<T>(parser: Parser<T>, bytes: Uint8Array, name: string): Generator<T, void, undefined> {
  let offset = 0;
  let step = parser.next();
  while (step.done !== true) {
    let answer: Uint8Array = empty;
    if ("found" in step.value) yield step.value.found;
    else {
      const ask = step.value;
      const left = bytes.length - offset;
      if (ask.mode === "rest" && left > ask.length) throw tooLong(ask, name, offset);
      if (ask.mode !== "rest" && left < ask.length && !(ask.mode === "end" && left === 0))
        throw tooShort(ask, name, offset, left);
      answer = bytes.subarray(offset, offset + ask.length);
      offset += answer.length;
    }
    step = parser.next(answer);
  }
}

/** Chunks of a stream, given out by length; holds no more than one answer and one chunk. */
class ByteQueue {
  readonly #chunks: AsyncIterator<Uint8Array>;
  readonly #name: string;
  #chunk: Uint8Array = empty;
  #offset = 0;

  constructor(chunks: AsyncIterable<Uint8Array>, name: string) {
    this.#chunks = chunks[Symbol.asyncIterator]();
    this.#name = name;
  }

  async #more(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next();
      if (next.done === true) return false;
      this.#chunk = next.value;
    }
    return true;
  }

  async take(ask: Ask): Promise<Uint8Array> {
    if (ask.mode !== "rest" && this.#chunk.length >= ask.length) return this.#consume(ask.length);
    const parts: Uint8Array[] = [];
    let missing = ask.length;
    while (missing > 0 && (await this.#more())) {
      const part = this.#consume(Math.min(missing, this.#chunk.length));
      parts.push(part);
      missing -= part.length;
    }
    if (ask.mode === "rest") {
      if (missing === 0 && (await this.#more())) throw tooLong(ask, this.#name, this.#offset - ask.length);
    } else if (missing > 0 && !(ask.mode === "end" && missing === ask.length))
      throw tooShort(ask, this.#name, this.#offset - (ask.length - missing), ask.length - missing);
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
  }

  #consume(length: number): Uint8Array {
    const part = this.#chunk.subarray(0, length);
    this.#chunk = this.#chunk.subarray(length);
    this.#offset += length;
    return part;
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}

/** Runs a parser over a stream; the stream is closed when the reader of the result stops early. */
export async function* parseStream<T>(
  parser: Parser<T>,
  chunks: AsyncIterable<Uint8Array>,
  name: string,
): AsyncGenerator<T, void, undefined> {
  const queue = new ByteQueue(chunks, name);
  try {
    let step = parser.next();
    while (step.done !== true) {
      let answer: Uint8Array = empty;
      if ("found" in step.value) yield step.value.found;
      else answer = await queue.take(step.value);
      step = parser.next(answer);
    }
  } finally {
    await queue.close();
  }
}
