import type { ServedKind } from "../machinery/kind.ts";

/** The kinds that are served now: the built-in ones and those of CustomResourceDefinitions. */
export interface KindRegistry {
  find(group: string, version: string, plural: string): ServedKind | undefined;
  all(): readonly ServedKind[];
  /** Grows with every change. */
  readonly revision: number;
  /** The served versions of one custom resource; none removes it. */
  setCustom(definition: string, kinds: readonly ServedKind[]): void;
  /** The collection of a resource, whichever of its versions is served. */
  collectionOf(group: string, plural: string): string;
  /** A version of the resource, the one given if it is served. */
  any(group: string, plural: string, version?: string): ServedKind | undefined;
}

const keyOf = (group: string, version: string, plural: string): string => `${group}/${version}/${plural}`;

export function createKindRegistry(builtin: readonly ServedKind[]): KindRegistry {
  const custom = new Map<string, readonly ServedKind[]>();
  let byKey = new Map<string, ServedKind>();
  let byResource = new Map<string, ServedKind>();
  /** By group and plural: admission asks several times for every write. */
  let collections = new Map<string, Map<string, string>>();
  let all: readonly ServedKind[] = [];
  let revision = 0;

  function rebuild(): void {
    all = [...builtin, ...[...custom.values()].flat()];
    byKey = new Map(all.map((kind) => [keyOf(kind.group, kind.version, kind.plural), kind]));
    byResource = new Map(all.toReversed().map((kind) => [`${kind.plural}.${kind.group}`, kind]));
    collections = new Map();
    revision++;
  }
  rebuild();

  function collectionOf(group: string, plural: string): string {
    let ofGroup = collections.get(group);
    if (ofGroup === undefined) collections.set(group, (ofGroup = new Map()));
    let collection = ofGroup.get(plural);
    if (collection === undefined) {
      const name = `${plural}.${group}`;
      collection = byResource.get(name)?.collection ?? (group === "" ? plural : name);
      ofGroup.set(plural, collection);
    }
    return collection;
  }

  return {
    find: (group, version, plural) => byKey.get(keyOf(group, version, plural)),
    all: () => all,
    get revision() {
      return revision;
    },
    setCustom(definition, kinds) {
      if (kinds.length === 0) custom.delete(definition);
      else custom.set(definition, kinds);
      rebuild();
    },
    collectionOf,
    any: (group, plural, version) =>
      (version === undefined ? undefined : byKey.get(keyOf(group, version, plural))) ??
      byResource.get(`${plural}.${group}`),
  };
}
