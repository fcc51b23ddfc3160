import { createHash } from "node:crypto";
import type { ServedKind } from "../machinery/kind.ts";
import { builtinKinds } from "../schema/builtin-schemas.ts";

/** The kinds of one group version, in order. */
export interface GroupVersionKinds {
  readonly group: string;
  readonly version: string;
  readonly kinds: readonly ServedKind[];
}

/** A group with its versions, the preferred one first. */
export interface Group {
  readonly name: string;
  readonly versions: readonly GroupVersionKinds[];
}

/** Versions as Kubernetes orders them: `v2`, `v1`, `v1beta2`, `v1alpha1`, then others by name. */
function compareVersions(left: string, right: string): number {
  const rank = (text: string): readonly number[] | undefined => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(text);
    if (match === null) return undefined;
    const stage = match[2] === undefined ? 2 : match[2] === "beta" ? 1 : 0;
    return [stage, Number(match[1]), Number(match[3] ?? 0)];
  };
  const [one, other] = [rank(left), rank(right)];
  if (one === undefined || other === undefined) {
    if (one !== undefined) return -1;
    if (other !== undefined) return 1;
    return left < right ? -1 : left > right ? 1 : 0;
  }
  for (const [index, value] of one.entries()) {
    const difference = (other[index] ?? 0) - value;
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Groups in discovery's order: built-in ones as the real server has them, then custom ones by name. */
export function groupsOf(kinds: readonly ServedKind[]): readonly Group[] {
  const groups = new Map<string, Map<string, ServedKind[]>>();
  for (const kind of kinds) {
    const versions = groups.get(kind.group) ?? new Map<string, ServedKind[]>();
    groups.set(kind.group, versions);
    const list = versions.get(kind.version) ?? [];
    versions.set(kind.version, list);
    list.push(kind);
  }
  const builtinOrder = [...new Set(builtinKinds().map(({ group }) => group))];
  const place = (name: string): number => {
    const index = builtinOrder.indexOf(name);
    return index === -1 ? builtinOrder.length : index;
  };
  return [...groups]
    .toSorted(([left], [right]) => place(left) - place(right) || (left < right ? -1 : 1))
    .map(([name, versions]) => ({
      name,
      versions: [...versions]
        .toSorted(([left], [right]) => compareVersions(left, right))
        .map(([version, list]) => ({
          group: name,
          version,
          kinds: list.toSorted((left, right) => (left.plural < right.plural ? -1 : 1)),
        })),
    }));
}

/** `apps/v1`, `v1`. */
const groupVersionText = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === "" ? version : `${group}/${version}`;

/** The path of a group version: `/api/v1`, `/apis/apps/v1`. */
export const groupVersionPath = ({ group, version }: { readonly group: string; readonly version: string }): string =>
  group === "" ? `/api/${version}` : `/apis/${group}/${version}`;

/** Verbs as the resource handler of custom resources lists them. */
const customVerbs = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

const verbsOf = (kind: ServedKind): readonly string[] =>
  kind.builtin ? kind.verbs : customVerbs.filter((verb) => (kind.verbs as readonly string[]).includes(verb));

let builtinHashes: ReadonlyMap<string, string> | undefined;

function storageVersionHash(kind: ServedKind): string {
  if (!kind.builtin) {
    return createHash("sha256")
      .update(`${kind.group}/${kind.storageVersion}/${kind.kind}`)
      .digest()
      .subarray(0, 8)
      .toString("base64");
  }
  builtinHashes ??= new Map(
    builtinKinds().map((known) => [`${groupVersionText(known)}/${known.plural}`, known.storageVersionHash]),
  );
  return builtinHashes.get(`${groupVersionText(kind)}/${kind.plural}`) ?? "";
}

/** Subresources as discovery lists them: built-in ones by name, custom ones as the definition's handler adds them. */
const subresourcesOf = (kind: ServedKind) => {
  const all = [...kind.subresources.values()];
  if (!kind.builtin) return all.toSorted((left, right) => (left.name > right.name ? -1 : 1));
  return all.toSorted((left, right) => (left.name < right.name ? -1 : 1));
};

/** `/api/v1`, `/apis/apps/v1`: an APIResourceList. */
export function resourceList(version: GroupVersionKinds): object {
  const isCore = version.group === "";
  return {
    kind: "APIResourceList",
    ...(isCore ? {} : { apiVersion: "v1" }),
    groupVersion: groupVersionText(version),
    resources: version.kinds.flatMap((kind) => [
      {
        name: kind.plural,
        singularName: kind.singular,
        namespaced: kind.namespaced,
        kind: kind.kind,
        verbs: verbsOf(kind),
        ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
        ...(kind.categories.length === 0 ? {} : { categories: kind.categories }),
        ...(storageVersionHash(kind) === "" ? {} : { storageVersionHash: storageVersionHash(kind) }),
      },
      ...subresourcesOf(kind).map((sub) => ({
        name: `${kind.plural}/${sub.name}`,
        singularName: "",
        namespaced: kind.namespaced,
        ...(sub.kind.group === kind.group && sub.kind.version === kind.version
          ? {}
          : { ...(sub.kind.group === "" ? {} : { group: sub.kind.group }), version: sub.kind.version }),
        kind: sub.kind.kind,
        verbs: sub.verbs,
      })),
    ]),
  };
}

const versionEntry = (version: GroupVersionKinds): object => ({
  groupVersion: groupVersionText(version),
  version: version.version,
});

const groupBody = (group: Group): object => ({
  name: group.name,
  versions: group.versions.map(versionEntry),
  preferredVersion: group.versions.slice(0, 1).map(versionEntry)[0],
});

/** `/apis/apps`: an APIGroup. */
export const groupObject = (group: Group): object => ({ kind: "APIGroup", apiVersion: "v1", ...groupBody(group) });

/** `/apis`: an APIGroupList. */
export const groupList = (groups: readonly Group[]): object => ({
  kind: "APIGroupList",
  apiVersion: "v1",
  groups: groups.filter(({ name }) => name !== "").map(groupBody),
});

/** `/api`: APIVersions. */
export const coreVersions = (serverAddress: string): object => ({
  kind: "APIVersions",
  versions: ["v1"],
  serverAddressByClientCIDRs: [{ clientCIDR: "0.0.0.0/0", serverAddress }],
});

/** `/api` and `/apis` as clients since 1.26 ask for them: everything in one answer. */
export function aggregatedList(groups: readonly Group[]): object {
  return {
    kind: "APIGroupDiscoveryList",
    apiVersion: "apidiscovery.k8s.io/v2",
    metadata: {},
    items: groups.map(({ name, versions }) => ({
      metadata: name === "" ? {} : { name },
      versions: versions.map((version) => ({
        version: version.version,
        resources: version.kinds.map(aggregatedResource),
        freshness: "Current",
      })),
    })),
  };
}

function aggregatedResource(kind: ServedKind): object {
  // Built-in kinds of the same group version are written without it.
  const responseKind = (of: { readonly group: string; readonly version: string; readonly kind: string }): object =>
    kind.builtin && of.group === kind.group && of.version === kind.version
      ? { group: "", version: "", kind: of.kind }
      : { group: of.group, version: of.version, kind: of.kind };
  return {
    resource: kind.plural,
    responseKind: responseKind(kind),
    scope: kind.namespaced ? "Namespaced" : "Cluster",
    singularResource: kind.singular,
    verbs: verbsOf(kind),
    ...(kind.shortNames.length === 0 ? {} : { shortNames: kind.shortNames }),
    ...(kind.categories.length === 0 ? {} : { categories: kind.categories }),
    ...(kind.subresources.size === 0
      ? {}
      : {
          subresources: subresourcesOf(kind).map((sub) => ({
            subresource: sub.name,
            responseKind: responseKind(sub.kind),
            verbs: sub.verbs,
          })),
        }),
  };
}
