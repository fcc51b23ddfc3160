import type { CustomResourceColumnDefinition, CustomResourceDefinition } from "@fleetwright/kube";
import type { ServedKind, Subresource, TableColumn, Verb } from "../machinery/kind.ts";
import { coerceEmbeddedMetadata } from "./embedded-resources.ts";
import { pruneUnknownFields } from "./prune.ts";
import { conversionOf, type CallConversionWebhook } from "./conversion.ts";
import { scaleSubresource, stepsOf } from "./scale.ts";
import { customResourceStrategy } from "./strategy.ts";
import { servedSchema, structuralSchema } from "./structural-schema.ts";

export { reconcileDefinition } from "./definition-status.ts";

/** What compiled definitions need from elsewhere in the server. */
export interface DefinitionHooks {
  /** The columns of `kubectl get`; without it there are none. */
  readonly columns?: (columns: readonly CustomResourceColumnDefinition[] | undefined) => readonly TableColumn[];
  readonly callWebhook?: CallConversionWebhook;
  readonly newUid?: () => string;
}

const creationRefusal = "create not allowed while custom resource definition is terminating";

const verbs: readonly Verb[] = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/** Every served version of an established definition, in the definition's order. */
export function compileDefinition(definition: CustomResourceDefinition, hooks: DefinitionHooks): readonly ServedKind[] {
  const { group, scope, versions } = definition.spec;
  const names = definition.status?.acceptedNames ?? definition.spec.names;
  const storageVersion = versions.find(({ storage }) => storage)?.name ?? versions[0]?.name ?? "";
  const isTerminating = definition.status?.conditions?.some(
    ({ type, status }) => type === "Terminating" && status === "True",
  );
  const replicasPaths = Object.fromEntries(
    versions.map(({ name, subresources }) => [
      `${group}/${name}`,
      subresources?.scale === undefined ? null : stepsOf(subresources.scale.specReplicasPath),
    ]),
  );
  return versions
    .filter(({ served }) => served)
    .map((version): ServedKind => {
      const structural = structuralSchema(version.schema?.openAPIV3Schema);
      const gvk = { group, version: version.name, kind: names.kind };
      const schema = { ...servedSchema(structural), "x-kubernetes-group-version-kind": [gvk] };
      const subresources = new Map<string, Subresource>();
      if (version.subresources?.status !== undefined) {
        subresources.set("status", { name: "status", kind: gvk, schema, verbs: ["get", "patch", "update"] });
      }
      const scale = version.subresources?.scale;
      if (scale !== undefined) subresources.set("scale", scaleSubresource(scale, replicasPaths));
      const conversion = conversionOf(definition, version.name, hooks);
      return {
        ...gvk,
        listKind: names.listKind ?? `${names.kind}List`,
        plural: names.plural,
        singular: names.singular ?? names.kind.toLowerCase(),
        namespaced: scope === "Namespaced",
        shortNames: names.shortNames ?? [],
        categories: names.categories ?? [],
        verbs,
        schema,
        prune: (object) => [...pruneUnknownFields(object, structural), ...coerceEmbeddedMetadata(object, structural)],
        ...(version.deprecated === true
          ? { deprecation: version.deprecationWarning ?? `${group}/${version.name} ${names.kind} is deprecated` }
          : {}),
        strategy: customResourceStrategy(version, structural),
        subresources,
        columns: hooks.columns?.(version.additionalPrinterColumns) ?? [],
        ...(conversion === undefined ? {} : { conversion }),
        collection: `${names.plural}.${group}`,
        builtin: false,
        ...(isTerminating ? { creationRefusal } : {}),
        storageVersion,
      };
    });
}
