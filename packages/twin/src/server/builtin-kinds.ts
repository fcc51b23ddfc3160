import { metadataChecks } from "../kinds/metadata-checks.ts";
import type { Conversion, ServedKind, Strategy, Subresource } from "../machinery/kind.ts";
import { builtinKinds } from "../schema/builtin-schemas.ts";
import type { BuiltinKind } from "../schema/builtin-schemas.ts";
import { columnsOf } from "../table/columns.ts";

/** What the rooms of the kinds give. */
export interface KindRules {
  /** By `group/Kind`, or `group/version/Kind` where versions differ. */
  readonly strategies: Readonly<Record<string, Strategy>>;
  readonly subresources: Readonly<Record<string, readonly Omit<Subresource, "kind" | "schema" | "verbs">[]>>;
  /** By `group/version/Kind`: the versions that are not stored. */
  readonly conversions: Readonly<Record<string, { readonly storageVersion: string; readonly conversion: Conversion }>>;
}

/** Kinds that two groups serve are stored once. */
const collections: Readonly<Record<string, string>> = { "events.k8s.io/events": "events" };

const collectionOf = ({ group, plural }: BuiltinKind): string =>
  collections[`${group}/${plural}`] ?? (group === "" ? plural : `${plural}.${group}`);

function subresourcesOf(kind: BuiltinKind, rules: KindRules): ReadonlyMap<string, Subresource> {
  const handlers = rules.subresources[`${kind.group}/${kind.kind}`] ?? [];
  return new Map(
    kind.subresources.map((listed): [string, Subresource] => {
      const handler = handlers.find(({ name }) => name === listed.name);
      return [listed.name, { ...handler, ...listed }];
    }),
  );
}

/** Warnings that every request about a kind gets (`APILifecycleDeprecated` and its replacement). */
const deprecations: Readonly<Record<string, string>> = {
  "/v1/ComponentStatus": "v1 ComponentStatus is deprecated in v1.19+",
  "/v1/Endpoints": "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice",
};

/** Kinds whose DELETE answers with the object (`ReturnDeletedObject` in pkg/registry). */
const returnsDeletedObject: ReadonlySet<string> = new Set([
  "/Namespace",
  "/PersistentVolume",
  "/PersistentVolumeClaim",
  "/Pod",
  "/PodTemplate",
  "/ResourceQuota",
  "/Service",
  "/ServiceAccount",
  "resource.k8s.io/DeviceClass",
  "resource.k8s.io/ResourceClaim",
  "resource.k8s.io/ResourceClaimTemplate",
  "resource.k8s.io/ResourceSlice",
  "storage.k8s.io/CSIDriver",
  "storage.k8s.io/CSINode",
  "storage.k8s.io/StorageClass",
  "storage.k8s.io/VolumeAttachment",
  "storage.k8s.io/VolumeAttributesClass",
]);

/** Every kind of kube-apiserver 1.36 with its structure, rules and columns. */
export function assembleBuiltinKinds(rules: KindRules): readonly ServedKind[] {
  return builtinKinds().map((kind): ServedKind => {
    const id = `${kind.group}/${kind.kind}`;
    const versioned = `${kind.group}/${kind.version}/${kind.kind}`;
    const written = rules.strategies[versioned] ?? rules.strategies[id] ?? {};
    const subresources = subresourcesOf(kind, rules);
    const converted = rules.conversions[versioned];
    return {
      ...kind,
      strategy: {
        ...written,
        ...(metadataChecks.has(id) ? { metadataChecks: metadataChecks.get(id) ?? {} } : {}),
        ...(returnsDeletedObject.has(id) ? { returnsDeletedObject: true } : {}),
        ...(subresources.has("status") && written.hasStatus === undefined ? { hasStatus: true } : {}),
      },
      subresources,
      columns: columnsOf(kind.group, kind.kind),
      collection: collectionOf(kind),
      builtin: true,
      storageVersion: converted?.storageVersion ?? kind.version,
      ...(Object.hasOwn(deprecations, versioned) ? { deprecation: deprecations[versioned] ?? "" } : {}),
      ...(converted === undefined ? {} : { conversion: converted.conversion }),
    };
  });
}
