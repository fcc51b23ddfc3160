import type { GroupVersionKind } from "@fleetwright/kube";
import type { ServedKind, Subresource } from "../machinery/kind.ts";
import { groupVersionPath } from "./groups.ts";
import type { GroupVersionKinds } from "./groups.ts";
import { kindReference } from "./openapi-schemas.ts";
import type { Dialect, SchemaSet } from "./openapi-schemas.ts";

type Parameter = readonly [name: string, type: "string" | "integer" | "boolean"];

const listParameters: readonly Parameter[] = [
  ["allowWatchBookmarks", "boolean"],
  ["continue", "string"],
  ["fieldSelector", "string"],
  ["labelSelector", "string"],
  ["limit", "integer"],
  ["resourceVersion", "string"],
  ["resourceVersionMatch", "string"],
  ["sendInitialEvents", "boolean"],
  ["timeoutSeconds", "integer"],
  ["watch", "boolean"],
];
const dryRun: Parameter = ["dryRun", "string"];
const writeParameters: readonly Parameter[] = [dryRun, ["fieldManager", "string"], ["fieldValidation", "string"]];
const deleteParameters: readonly Parameter[] = [
  dryRun,
  ["gracePeriodSeconds", "integer"],
  ["ignoreStoreReadErrorWithClusterBreakingPotential", "boolean"],
  ["orphanDependents", "boolean"],
  ["propagationPolicy", "string"],
];
const ofCollection = new Set(["allowWatchBookmarks", "watch"]);
const collectionParameters: readonly Parameter[] = [
  ...listParameters.filter(([name]) => !ofCollection.has(name)),
  ...deleteParameters,
].toSorted(([left], [right]) => (left < right ? -1 : 1));

const meta = "io.k8s.apimachinery.pkg.apis.meta.v1.";
const mediaTypes = ["application/json", "application/yaml"];
const patchTypes = [
  "application/apply-patch+yaml",
  "application/json-patch+json",
  "application/merge-patch+json",
  "application/strategic-merge-patch+json",
];

/** What is regular in the operations of all kinds. */
interface Operation {
  readonly verb: string;
  readonly action: string;
  readonly id: string;
  readonly kind: GroupVersionKind;
  readonly parameters?: readonly Parameter[];
  readonly body?: { readonly schema: object; readonly types: readonly string[]; readonly required: boolean };
  readonly answer: object;
  readonly codes: readonly number[];
  readonly streams?: boolean;
}

const capital = (text: string): string => (text === "" ? "" : `${(text[0] ?? "").toUpperCase()}${text.slice(1)}`);

const groupWords = (group: string): readonly string[] =>
  group === "" ? ["core"] : group.replace(/\.k8s\.io$/, "").split(".");

const codeTexts: Readonly<Record<number, string>> = { 200: "OK", 201: "Created", 202: "Accepted" };

/**
 * Paths of a group version with its operations: what clients look up there are the parameters (`fieldValidation`),
 * the kind and the action. Texts for people are left out.
 */
export function openapiPaths(version: GroupVersionKinds, set: SchemaSet, dialect: Dialect): Record<string, object> {
  const paths: Record<string, object> = {};
  const words = groupWords(version.group);
  const tag = `${words.map((word, index) => (index === 0 ? word : capital(word))).join("")}_${version.version}`;
  const name = `${words.map(capital).join("")}${capital(version.version)}`;
  const base = groupVersionPath(version);
  const write = (operations: readonly Operation[], parameters: readonly string[]): object =>
    pathItem(operations, parameters, tag, dialect);

  paths[`${base}/`] = write(
    [
      {
        verb: "get",
        action: "",
        id: `get${name}APIResources`,
        kind: { group: "", version: "", kind: "" },
        answer: set.named(`${meta}APIResourceList`),
        codes: [200],
      },
    ],
    [],
  );
  for (const kind of version.kinds) {
    const scoped = kind.namespaced ? ["namespace"] : [];
    const prefix = kind.namespaced ? `${base}/namespaces/{namespace}/${kind.plural}` : `${base}/${kind.plural}`;
    const titled = `${name}${kind.namespaced ? "Namespaced" : ""}${kind.kind}`;
    const collection = collectionOperations(kind, titled, name, set, dialect);
    if (collection.length > 0) paths[prefix] = write(collection, scoped);
    const everywhere = listOperation(kind, `list${name}${kind.kind}ForAllNamespaces`, set, dialect);
    if (kind.namespaced && everywhere !== undefined) paths[`${base}/${kind.plural}`] = write([everywhere], []);
    const item = itemOperations(kind, kind.verbs, `${titled}`, set, kindReference(set, kind, dialect, false), kind);
    if (item.length > 0) paths[`${prefix}/{name}`] = write(item, [...scoped, "name"]);
    for (const sub of kind.subresources.values()) {
      const operations = subresourceOperations(kind, sub, `${titled}${capital(sub.name)}`, set, dialect);
      if (operations.length > 0) paths[`${prefix}/{name}/${sub.name}`] = write(operations, [...scoped, "name"]);
    }
  }
  return paths;
}

const ownKind = ({ group, version, kind }: ServedKind): GroupVersionKind => ({ group, version, kind });

function listOperation(kind: ServedKind, id: string, set: SchemaSet, dialect: Dialect): Operation | undefined {
  if (!kind.verbs.includes("list")) return undefined;
  return {
    verb: "get",
    action: "list",
    id,
    kind: ownKind(kind),
    parameters: listParameters,
    answer: kindReference(set, kind, dialect, true),
    codes: [200],
    streams: true,
  };
}

function collectionOperations(
  kind: ServedKind,
  titled: string,
  name: string,
  set: SchemaSet,
  dialect: Dialect,
): readonly Operation[] {
  const list = listOperation(kind, `list${titled}`, set, dialect);
  const object = kindReference(set, kind, dialect, false);
  return [
    ...(list === undefined ? [] : [list]),
    ...(kind.verbs.includes("create")
      ? [
          {
            verb: "post",
            action: "post",
            id: `create${titled}`,
            kind: ownKind(kind),
            parameters: writeParameters,
            body: { schema: object, types: ["*/*"], required: true },
            answer: object,
            codes: [200, 201, 202],
          },
        ]
      : []),
    ...(kind.verbs.includes("deletecollection")
      ? [
          {
            verb: "delete",
            action: "deletecollection",
            id: `delete${name}Collection${titled.slice(name.length)}`,
            kind: ownKind(kind),
            parameters: collectionParameters,
            body: { schema: set.named(`${meta}DeleteOptions`), types: ["*/*"], required: false },
            answer: set.named(`${meta}Status`),
            codes: [200],
          },
        ]
      : []),
  ];
}

function itemOperations(
  served: ServedKind,
  verbs: readonly string[],
  titled: string,
  set: SchemaSet,
  object: object,
  kind: GroupVersionKind,
): readonly Operation[] {
  const own = { group: kind.group, version: kind.version, kind: kind.kind };
  const types = served.builtin ? patchTypes : patchTypes.slice(0, -1);
  const operations: Operation[] = [];
  if (verbs.includes("get")) {
    operations.push({ verb: "get", action: "get", id: `read${titled}`, kind: own, answer: object, codes: [200] });
  }
  if (verbs.includes("update")) {
    operations.push({
      verb: "put",
      action: "put",
      id: `replace${titled}`,
      kind: own,
      parameters: writeParameters,
      body: { schema: object, types: ["*/*"], required: true },
      answer: object,
      codes: [200, 201],
    });
  }
  if (verbs.includes("delete")) {
    operations.push({
      verb: "delete",
      action: "delete",
      id: `delete${titled}`,
      kind: own,
      parameters: deleteParameters,
      body: { schema: set.named(`${meta}DeleteOptions`), types: ["*/*"], required: false },
      answer: set.named(`${meta}Status`),
      codes: [200, 202],
    });
  }
  if (verbs.includes("patch")) {
    operations.push({
      verb: "patch",
      action: "patch",
      id: `patch${titled}`,
      kind: own,
      parameters: [...writeParameters, ["force", "boolean"]],
      body: { schema: set.named(`${meta}Patch`), types, required: true },
      answer: object,
      codes: served.builtin ? [200, 201] : [200],
    });
  }
  return operations;
}

function subresourceOperations(
  kind: ServedKind,
  sub: Subresource,
  titled: string,
  set: SchemaSet,
  dialect: Dialect,
): readonly Operation[] {
  const isOwn = sub.kind.kind === kind.kind && sub.kind.group === kind.group;
  const object = isOwn ? kindReference(set, kind, dialect, false) : set.refer(sub.schema);
  if (sub.connect !== undefined) {
    return sub.verbs
      .filter((verb) => verb === "get" || verb === "create")
      .map((verb) => ({
        verb: verb === "get" ? "get" : "post",
        action: "connect",
        id: `connect${verb === "get" ? "Get" : "Post"}${titled}`,
        kind: sub.kind,
        answer: { type: "string" },
        codes: [200],
      }));
  }
  const items = itemOperations(kind, sub.verbs, titled, set, object, sub.kind);
  if (!sub.verbs.includes("create")) return items;
  return [
    ...items,
    {
      verb: "post",
      action: "post",
      id: `create${titled}`,
      kind: sub.kind,
      parameters: writeParameters,
      body: { schema: object, types: ["*/*"], required: true },
      answer: object,
      codes: [200, 201, 202],
    },
  ];
}

function pathItem(
  operations: readonly Operation[],
  pathParameters: readonly string[],
  tag: string,
  dialect: Dialect,
): object {
  const item: Record<string, object> = {};
  for (const operation of operations) {
    item[operation.verb] = dialect === "v3" ? operationV3(operation, tag) : operationV2(operation, tag);
  }
  const parameters = [
    ...pathParameters.toSorted().map((name) => ({ name, in: "path", required: true })),
    ...(pathParameters.length > 0 ? [{ name: "pretty", in: "query" }] : []),
  ].map((parameter) =>
    dialect === "v3"
      ? { ...parameter, schema: { type: "string", uniqueItems: true } }
      : { uniqueItems: true, type: "string", ...parameter },
  );
  return parameters.length === 0 ? item : { ...item, parameters };
}

const ending = (operation: Operation): object =>
  operation.action === ""
    ? {}
    : { "x-kubernetes-action": operation.action, "x-kubernetes-group-version-kind": operation.kind };

function operationV3(operation: Operation, tag: string): object {
  const isText = operation.action === "connect";
  const types = isText
    ? ["*/*"]
    : [...mediaTypes, ...(operation.streams === true ? ["application/json;stream=watch"] : [])].toSorted();
  const content = Object.fromEntries(types.map((type) => [type, { schema: operation.answer }]));
  return {
    tags: [tag],
    operationId: operation.id,
    ...(operation.parameters === undefined
      ? {}
      : {
          parameters: operation.parameters.map(([name, type]) => ({
            name,
            in: "query",
            schema: { type, uniqueItems: true },
          })),
        }),
    ...(operation.body === undefined
      ? {}
      : {
          requestBody: {
            content: Object.fromEntries(
              operation.body.types.map((type) => [type, { schema: operation.body?.schema ?? {} }]),
            ),
            ...(operation.body.required ? { required: true } : {}),
          },
        }),
    responses: {
      ...Object.fromEntries(
        operation.codes.map((code) => [String(code), { description: codeTexts[code] ?? "", content }]),
      ),
      "401": { description: "Unauthorized" },
    },
    ...ending(operation),
  };
}

function operationV2(operation: Operation, tag: string): object {
  const { body } = operation;
  return {
    consumes: body?.types ?? ["*/*"],
    produces: [...mediaTypes, ...(operation.streams === true ? ["application/json;stream=watch"] : [])],
    schemes: ["https"],
    tags: [tag],
    operationId: operation.id,
    parameters: [
      ...(body === undefined
        ? []
        : [{ name: "body", in: "body", ...(body.required ? { required: true } : {}), schema: body.schema }]),
      ...(operation.parameters ?? []).map(([name, type]) => ({ uniqueItems: true, type, name, in: "query" })),
    ],
    responses: {
      ...Object.fromEntries(
        operation.codes.map((code) => [String(code), { description: codeTexts[code] ?? "", schema: operation.answer }]),
      ),
      "401": { description: "Unauthorized" },
    },
    ...ending(operation),
  };
}
