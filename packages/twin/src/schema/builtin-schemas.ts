import type { GroupVersionKind } from "@fleetwright/kube";
import type { Verb } from "../machinery/kind.ts";
import type { Schema } from "../machinery/schema.ts";
import resources from "./builtin-resources.generated.json" with { type: "json" };
import written from "./builtin-schemas.generated.json" with { type: "json" };

/** A built-in kind as discovery and OpenAPI describe one of its versions. */
export interface BuiltinKind {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly listKind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories: readonly string[];
  readonly verbs: readonly Verb[];
  /** As discovery shows it; `""` for what is not stored. */
  readonly storageVersionHash: string;
  readonly subresources: readonly BuiltinSubresource[];
  readonly schema: Schema;
}

interface BuiltinSubresource {
  readonly name: string;
  /** Of what is sent and answered. */
  readonly kind: GroupVersionKind;
  readonly verbs: readonly ("create" | "get" | "patch" | "update" | "delete")[];
  readonly schema: Schema;
}

/** As OpenAPI writes it: references by name, and a reference with a default beside it in an `allOf` of one. */
interface WrittenSchema extends Omit<Schema, "properties" | "items" | "additionalProperties" | "allOf" | "oneOf"> {
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, WrittenSchema>>;
  readonly items?: WrittenSchema;
  readonly additionalProperties?: WrittenSchema | boolean;
  readonly allOf?: readonly WrittenSchema[];
  readonly oneOf?: readonly Schema[];
}

type Linking = { -readonly [Key in keyof Schema]: Schema[Key] };

const referencePrefix = "#/components/schemas/";

function linkSchemas(source: Readonly<Record<string, WrittenSchema>>): ReadonlyMap<string, Schema> {
  const named = new Map<string, Linking>(Object.keys(source).map((id) => [id, { id }]));
  // Copies of named schemas with something of their own; made when the named ones are complete.
  const variants: { readonly variant: Linking; readonly target: Schema; readonly own: Partial<Schema> }[] = [];

  const target = (reference: string): Linking => named.get(reference.slice(referencePrefix.length)) ?? {};

  function link(schema: WrittenSchema): Schema {
    if (schema.$ref !== undefined) return target(schema.$ref);
    const { properties, items, additionalProperties, allOf, oneOf, ...own } = schema;
    const reference = allOf?.length === 1 ? allOf[0]?.$ref : undefined;
    if (reference !== undefined) {
      const variant: Linking = {};
      variants.push({ variant, target: target(reference), own });
      return variant;
    }
    const linked: Linking = own;
    if (properties !== undefined) {
      linked.properties = Object.fromEntries(Object.entries(properties).map(([name, child]) => [name, link(child)]));
    }
    if (items !== undefined) linked.items = link(items);
    if (additionalProperties !== undefined) {
      linked.additionalProperties =
        typeof additionalProperties === "boolean" ? additionalProperties : link(additionalProperties);
    }
    if (oneOf !== undefined) linked.oneOf = oneOf;
    return linked;
  }

  for (const [id, schema] of Object.entries(source)) Object.assign(named.get(id) ?? {}, link(schema));
  for (const { variant, target: complete, own } of variants) Object.assign(variant, complete, own);
  return named;
}

let linked: ReadonlyMap<string, Schema> | undefined;

/** Every named schema of kube-apiserver's OpenAPI (`io.k8s.api.apps.v1.Deployment`), linked. */
export function builtinSchemas(): ReadonlyMap<string, Schema> {
  linked ??= linkSchemas(written as unknown as Readonly<Record<string, WrittenSchema>>);
  return linked;
}

interface ListedResource {
  readonly name: string;
  readonly singularName: string;
  readonly namespaced: boolean;
  readonly group?: string;
  readonly version?: string;
  readonly kind: string;
  readonly verbs: readonly string[];
  readonly shortNames?: readonly string[];
  readonly categories?: readonly string[];
  readonly storageVersionHash?: string;
}

const keyOf = ({ group, version, kind }: GroupVersionKind): string => `${group}/${version}/${kind}`;

let kinds: readonly BuiltinKind[] | undefined;

/** All built-in kinds in discovery's order: groups by priority, preferred versions first, resources by name. */
export function builtinKinds(): readonly BuiltinKind[] {
  kinds ??= readKinds();
  return kinds;
}

function readKinds(): readonly BuiltinKind[] {
  const byKind = new Map<string, Schema>();
  for (const schema of builtinSchemas().values()) {
    const kindsOf = schema["x-kubernetes-group-version-kind"] ?? [];
    // Options and events of `watch` are said to be of every group; they are no resource.
    for (const kind of kindsOf) if (kindsOf.length === 1 || kind.group === "") byKind.set(keyOf(kind), schema);
  }
  return Object.entries(resources as Readonly<Record<string, readonly ListedResource[]>>).flatMap(
    ([groupVersion, listed]) => {
      const [group, version] = groupVersion.includes("/") ? groupVersion.split("/") : ["", groupVersion];
      const own = { group: group ?? "", version: version ?? "" };
      const schemaOf = (kind: GroupVersionKind): Schema => byKind.get(keyOf(kind)) ?? { type: "object" };
      return listed
        .filter(({ name }) => !name.includes("/"))
        .map((resource): BuiltinKind => {
          const prefix = `${resource.name}/`;
          return {
            ...own,
            kind: resource.kind,
            listKind: `${resource.kind}List`,
            plural: resource.name,
            singular: resource.singularName,
            namespaced: resource.namespaced,
            shortNames: resource.shortNames ?? [],
            categories: resource.categories ?? [],
            verbs: resource.verbs as readonly Verb[],
            storageVersionHash: resource.storageVersionHash ?? "",
            schema: schemaOf({ ...own, kind: resource.kind }),
            subresources: listed
              .filter(({ name }) => name.startsWith(prefix))
              .map((sub): BuiltinSubresource => {
                const kind = {
                  group: sub.version === undefined ? own.group : (sub.group ?? ""),
                  version: sub.version ?? own.version,
                  kind: sub.kind,
                };
                return {
                  name: sub.name.slice(prefix.length),
                  kind,
                  verbs: sub.verbs as BuiltinSubresource["verbs"],
                  schema: schemaOf(kind),
                };
              }),
          };
        });
    },
  );
}
