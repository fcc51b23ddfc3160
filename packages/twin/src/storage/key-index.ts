/** Chunks split at this length, so that an insertion moves half as many references on average. */
const chunkLimit = 512;

/**
 * Items in the order of their sort keys, each key once. Insertion, removal and the start of a scan cost a binary search and
 * the move of one chunk, however many items there are.
 */
export class KeyIndex<T extends { readonly sortKey: string }> {
  readonly #chunks: T[][] = [];

  insert(item: T): void {
    if (this.#chunks.length === 0) {
      this.#chunks.push([item]);
      return;
    }
    const at = Math.max(0, this.#chunkBefore(item.sortKey));
    const chunk = this.#chunks[at] ?? [];
    chunk.splice(lowerBound(chunk, item.sortKey), 0, item);
    if (chunk.length > chunkLimit) this.#chunks.splice(at + 1, 0, chunk.splice(chunkLimit / 2));
  }

  remove(item: T): void {
    const at = this.#chunkBefore(item.sortKey);
    const chunk = this.#chunks[at];
    if (chunk === undefined) return;
    const position = lowerBound(chunk, item.sortKey);
    if (chunk[position] !== item) return;
    chunk.splice(position, 1);
    if (chunk.length === 0) this.#chunks.splice(at, 1);
  }

  /** Visits items from the key on (without it if `exclusive`) until `visit` answers false. */
  scan(start: string, exclusive: boolean, visit: (item: T) => boolean): void {
    const first = Math.max(0, this.#chunkBefore(start));
    for (let at = first; at < this.#chunks.length; at++) {
      const chunk = this.#chunks[at] ?? [];
      let position = at === first ? lowerBound(chunk, start) : 0;
      if (at === first && exclusive && chunk[position]?.sortKey === start) position++;
      for (; position < chunk.length; position++) {
        const item = chunk[position];
        if (item !== undefined && !visit(item)) return;
      }
    }
  }

  /** The last chunk whose first key is not above; -1 when all are above. */
  #chunkBefore(sortKey: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const first = this.#chunks[middle]?.[0];
      if (first !== undefined && first.sortKey <= sortKey) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }
}

function lowerBound(items: readonly { readonly sortKey: string }[], sortKey: string): number {
  let low = 0;
  let high = items.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const item = items[middle];
    if (item !== undefined && item.sortKey < sortKey) low = middle + 1;
    else high = middle;
  }
  return low;
}
