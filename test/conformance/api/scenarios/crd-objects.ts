import type { Session } from "../scenario.ts";

/** A definition of `things` in a group of the scenario's own. */
export interface ThingOptions {
  readonly schema?: object;
  readonly version?: object;
  readonly versions?: readonly object[];
  readonly spec?: object;
}

export const groupOf = ({ unique }: Session): string => `${unique}.example.com`;
export const definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
export const definitionPath = (session: Session): string => `${definitions}/things.${groupOf(session)}`;
export const things = (session: Session, version = "v1"): string =>
  `/apis/${groupOf(session)}/${version}/namespaces/${session.namespace}/things`;

export const versionOf = (name: string, properties: object = {}, more: object = {}): object => ({
  name,
  served: true,
  storage: true,
  schema: { openAPIV3Schema: { type: "object", properties: { spec: { type: "object", properties } } } },
  ...more,
});

export function definition(session: Session, { schema, version = {}, versions, spec = {} }: ThingOptions = {}): object {
  const group = groupOf(session);
  const only = { ...versionOf("v1", {}, version), ...(schema && { schema: { openAPIV3Schema: schema } }) };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `things.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
      versions: versions ?? [only],
      ...spec,
    },
  };
}

export const thing = (session: Session, name: string, spec: unknown, more: object = {}, version = "v1"): object => ({
  apiVersion: `${groupOf(session)}/${version}`,
  kind: "Thing",
  metadata: { name },
  ...(spec === undefined ? {} : { spec }),
  ...more,
});

/** Defines things and waits until they are served. */
export async function define(session: Session, options: ThingOptions = {}): Promise<void> {
  await session.given("POST", definitions, definition(session, options));
  await session.served(things(session, "v1"), 200);
}

/** A schema whose `spec` has these properties. */
export const objectWith = (properties: object, more: object = {}): object => ({
  type: "object",
  properties: { spec: { type: "object", properties, ...more } },
});
export const withRules = (properties: object, ...rules: readonly object[]): object =>
  objectWith(properties, { "x-kubernetes-validations": rules });
export const int = { type: "integer" };
export const text = { type: "string" };
