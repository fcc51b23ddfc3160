/** Entries in revision order: appended at the end, forgotten at the front, found by revision. */
export class RevisionLog<T extends { readonly revision: number }> {
  #entries: T[] = [];
  #head = 0;

  get length(): number {
    return this.#entries.length - this.#head;
  }

  get first(): T | undefined {
    return this.#entries[this.#head];
  }

  get last(): T | undefined {
    return this.length === 0 ? undefined : this.#entries.at(-1);
  }

  append(entry: T): void {
    this.#entries.push(entry);
  }

  shift(): T | undefined {
    const entry = this.first;
    if (entry === undefined) return undefined;
    this.#head++;
    // Half of the array is dead: moving the rest costs as many steps as have been saved.
    if (this.#head * 2 > this.#entries.length && this.#head > 32) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
    return entry;
  }

  pop(): T | undefined {
    return this.length === 0 ? undefined : this.#entries.pop();
  }

  /** Visits entries after the revision, oldest first, until `visit` answers false. */
  scan(after: number, visit: (entry: T) => boolean): void {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const entry = this.#entries[middle];
      if (entry !== undefined && entry.revision <= after) low = middle + 1;
      else high = middle;
    }
    for (let index = low; index < this.#entries.length; index++) {
      const entry = this.#entries[index];
      if (entry !== undefined && !visit(entry)) return;
    }
  }
}
