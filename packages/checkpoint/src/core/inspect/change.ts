/** What became of something between two checkpoints. */
export type Change<T> =
  | { readonly change: "added"; readonly after: T }
  | { readonly change: "removed"; readonly before: T }
  | { readonly change: "changed"; readonly before: T; readonly after: T };

/** Changes of named things, in the order of `before` and then of what was added; `isSame` tells whether a thing stayed as it was. */
export function changesByName<T>(
  before: ReadonlyMap<string, T>,
  after: ReadonlyMap<string, T>,
  isSame: (before: T, after: T) => boolean,
): readonly (Change<T> & { readonly name: string })[] {
  const changes: (Change<T> & { readonly name: string })[] = [];
  for (const [name, was] of before) {
    const is = after.get(name);
    if (is === undefined) changes.push({ name, change: "removed", before: was });
    else if (!isSame(was, is)) changes.push({ name, change: "changed", before: was, after: is });
  }
  for (const [name, is] of after) if (!before.has(name)) changes.push({ name, change: "added", after: is });
  return changes;
}

/** Names things that may be there several times: the second `/data` is `/data (2)`. */
export function byName<T>(things: readonly T[], nameOf: (thing: T) => string): ReadonlyMap<string, T> {
  const counts = new Map<string, number>();
  return new Map(
    things.map((thing) => {
      const name = nameOf(thing);
      const count = (counts.get(name) ?? 0) + 1;
      counts.set(name, count);
      return [count === 1 ? name : `${name} (${count})`, thing] as const;
    }),
  );
}
