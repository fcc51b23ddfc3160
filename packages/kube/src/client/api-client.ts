import { FleetwrightError, TransportError } from "../core/errors.ts";
import { keyOf, type KubeList, type KubeObject, type ObjectKey } from "../core/object.ts";
import { apiVersionOf, type Resource, resourcePath } from "../core/resource.ts";
import { parseJson } from "./body.ts";
import type { Call, Caller } from "./caller.ts";
import type {
  ApplyOptions,
  CallOptions,
  Client,
  DeleteOptions,
  ListOptions,
  LogOptions,
  PatchBody,
  PatchOptions,
  Scale,
  TokenRequestOptions,
  WatchEvent,
  WatchOptions,
  WriteOptions,
} from "./client.ts";
import { queryString } from "./query.ts";
import { givenEvents, watchEvents } from "./watch-stream.ts";

/** client-go's `pager` default. */
const defaultPageSize = 500;

const patchContentTypes = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
} as const;

/** {@link Client} in terms of {@link Caller}: what each verb's request looks like. */
export class ApiClient implements Client {
  readonly #caller: Caller;
  readonly #gzip: boolean;
  readonly #close: () => Promise<void>;

  constructor(parts: { readonly caller: Caller; readonly gzip: boolean; readonly close: () => Promise<void> }) {
    this.#caller = parts.caller;
    this.#gzip = parts.gzip;
    this.#close = parts.close;
  }

  async get<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    options: CallOptions & { resourceVersion?: string } = {},
  ): Promise<T> {
    const path = objectPath(resource, key) + queryString({ resourceVersion: options.resourceVersion });
    return (await this.#caller.json({ method: "GET", path, options })) as T;
  }

  async list<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): Promise<KubeList<T>> {
    const path = resourcePath(resource, collectionKey(options)) + queryString(listQuery(options));
    const list = (await this.#caller.json({ method: "GET", path, gzip: this.#gzip, options })) as KubeList<T>;
    if (list.items === null || Array.isArray(list.items)) return list.items === null ? { ...list, items: [] } : list;
    throw new TransportError(`GET ${path}: the answer is no list (kind ${JSON.stringify(list.kind)})`);
  }

  async *pages<T extends KubeObject>(resource: Resource<T>, options: ListOptions = {}): AsyncIterable<KubeList<T>> {
    let page = await this.list(resource, { ...options, limit: options.limit ?? defaultPageSize });
    yield page;
    // The token says from which version on; the server refuses it together with a resourceVersion.
    const { resourceVersion: _version, resourceVersionMatch: _match, ...rest } = options;
    while (page.metadata.continue) {
      page = await this.list(resource, {
        ...rest,
        limit: options.limit ?? defaultPageSize,
        continue: page.metadata.continue,
      });
      yield page;
    }
  }

  async *watch<T extends KubeObject>(resource: Resource<T>, options: WatchOptions = {}): AsyncIterable<WatchEvent<T>> {
    const path =
      resourcePath(resource, collectionKey(options)) +
      queryString({
        ...listQuery(options),
        watch: true,
        allowWatchBookmarks: options.allowWatchBookmarks ?? true,
        sendInitialEvents: options.sendInitialEvents,
        timeoutSeconds: options.timeoutSeconds,
      });
    const { body, events } = await this.#caller.stream({ method: "GET", path, options });
    yield* events === undefined ? watchEvents<T>(body, `GET ${path}`) : givenEvents<T>(events, `GET ${path}`);
  }

  async create<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    const { namespace } = object.metadata;
    if (resource.namespaced && !namespace) throw missingNamespace(resource, object.metadata.name ?? "");
    const path = resourcePath(resource, namespace ? { namespace } : {}) + queryString(writeQuery(options));
    return (await this.#write("POST", path, typed(resource, object), options)) as T;
  }

  async update<T extends KubeObject>(resource: Resource<T>, object: T, options: PatchOptions = {}): Promise<T> {
    const path = objectPath(resource, keyOf(object), options.subresource) + queryString(writeQuery(options));
    return (await this.#write("PUT", path, typed(resource, object), options)) as T;
  }

  updateStatus<T extends KubeObject>(resource: Resource<T>, object: T, options: WriteOptions = {}): Promise<T> {
    return this.update(resource, object, { ...options, subresource: "status" });
  }

  async patch<T extends KubeObject>(
    resource: Resource<T>,
    key: ObjectKey,
    body: PatchBody,
    options: PatchOptions = {},
  ): Promise<T> {
    const path = objectPath(resource, key, options.subresource) + queryString(writeQuery(options));
    const content = body.type === "json" ? body.operations : body.patch;
    return (await this.#write("PATCH", path, content, options, patchContentTypes[body.type])) as T;
  }

  async apply<T extends KubeObject>(resource: Resource<T>, object: KubeObject, options: ApplyOptions): Promise<T> {
    const path =
      objectPath(resource, keyOf(object), options.subresource) +
      queryString({ ...writeQuery(options), force: options.force });
    // JSON is YAML, and the server decodes it faster.
    return (await this.#write("PATCH", path, typed(resource, object), options, "application/apply-patch+yaml")) as T;
  }

  delete(resource: Resource, key: ObjectKey, options: DeleteOptions = {}): Promise<unknown> {
    return this.#write("DELETE", objectPath(resource, key), deleteBody(options), options);
  }

  async deleteCollection(
    resource: Resource,
    options: DeleteOptions & Pick<ListOptions, "namespace" | "labelSelector" | "fieldSelector"> = {},
  ): Promise<void> {
    if (resource.namespaced && !options.namespace) throw missingNamespace(resource, "");
    const { labelSelector, fieldSelector } = options;
    const path = resourcePath(resource, collectionKey(options)) + queryString({ labelSelector, fieldSelector });
    await this.#write("DELETE", path, deleteBody(options), options);
  }

  async getScale(resource: Resource, key: ObjectKey, options: CallOptions = {}): Promise<Scale> {
    return (await this.#caller.json({ method: "GET", path: objectPath(resource, key, "scale"), options })) as Scale;
  }

  async updateScale(resource: Resource, key: ObjectKey, scale: Scale, options: WriteOptions = {}): Promise<Scale> {
    const path = objectPath(resource, key, "scale") + queryString(writeQuery(options));
    const body = { apiVersion: "autoscaling/v1", kind: "Scale", ...scale };
    return (await this.#write("PUT", path, body, options)) as Scale;
  }

  async evict(pod: ObjectKey, options: DeleteOptions = {}): Promise<void> {
    const body = {
      apiVersion: "policy/v1",
      kind: "Eviction",
      metadata: { name: pod.name, namespace: pod.namespace },
      deleteOptions: deleteBody(options),
    };
    await this.#write("POST", objectPath(podResource, pod, "eviction"), body, options);
  }

  async bind(pod: ObjectKey, nodeName: string, options: WriteOptions & { uid?: string } = {}): Promise<void> {
    const body = {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name: pod.name, namespace: pod.namespace, uid: options.uid },
      target: { apiVersion: "v1", kind: "Node", name: nodeName },
    };
    const path = objectPath(podResource, pod, "binding") + queryString(writeQuery(options));
    await this.#write("POST", path, body, options);
  }

  async createToken(
    serviceAccount: ObjectKey,
    options: TokenRequestOptions = {},
  ): Promise<{ token: string; expirationTimestamp: string }> {
    const path = objectPath(serviceAccountResource, serviceAccount, "token");
    const body = {
      apiVersion: "authentication.k8s.io/v1",
      kind: "TokenRequest",
      spec: {
        audiences: options.audiences ?? [],
        expirationSeconds: options.expirationSeconds ?? 3600,
        boundObjectRef: options.boundObject,
      },
    };
    const answer = (await this.#write("POST", path, body, options)) as {
      readonly status?: { readonly token?: string; readonly expirationTimestamp?: string };
    };
    const { token, expirationTimestamp } = answer.status ?? {};
    if (!token || !expirationTimestamp) throw new TransportError(`POST ${path}: the answer holds no token`);
    return { token, expirationTimestamp };
  }

  async *logs(pod: ObjectKey, options: LogOptions = {}): AsyncIterable<Uint8Array> {
    const { container, follow, previous, sinceSeconds, tailLines, timestamps } = options;
    const path =
      objectPath(podResource, pod, "log") +
      queryString({ container, follow, previous, sinceSeconds, tailLines, timestamps });
    const call: Call = { method: "GET", path, accept: "*/*", options };
    if (follow === true) yield* (await this.#caller.stream(call)).body;
    else yield (await this.#caller.answer(call)).bytes;
  }

  async raw(
    method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    options: CallOptions & { body?: unknown; contentType?: string; accept?: string } = {},
  ): Promise<unknown> {
    const { body, contentType, accept } = options;
    const asIs = typeof body === "string" && contentType !== undefined && !contentType.includes("json");
    const { headers, bytes, value } = await this.#caller.answer({
      method,
      path,
      accept: accept ?? "application/json, */*;q=0.5",
      ...(asIs ? { body } : { json: body }),
      contentType,
      gzip: method === "GET" && this.#gzip,
      options,
    });
    if (value !== undefined) return value;
    const isJson = /^application\/([\w.]+\+)?json\b/.test(headers["content-type"] ?? "");
    return isJson ? parseJson(bytes, `${method} ${path}`) : bytes.toString("utf8");
  }

  close(): Promise<void> {
    return this.#close();
  }

  #write(
    method: "POST" | "PUT" | "PATCH" | "DELETE",
    path: string,
    body: unknown,
    options: CallOptions,
    contentType = "application/json",
  ): Promise<unknown> {
    return this.#caller.json({ method, path, json: body, contentType, options });
  }
}

const podResource: Resource = { group: "", version: "v1", kind: "Pod", plural: "pods", namespaced: true };

const serviceAccountResource: Resource = {
  group: "",
  version: "v1",
  kind: "ServiceAccount",
  plural: "serviceaccounts",
  namespaced: true,
};

function objectPath(resource: Resource, key: ObjectKey, subresource?: string): string {
  if (key.name === "") {
    // Without this, an empty name would address the whole collection.
    throw new FleetwrightError("FW_KUBE_KEY", `${resource.kind}: the object has no metadata.name; set it`);
  }
  if (resource.namespaced && !key.namespace) throw missingNamespace(resource, key.name);
  return resourcePath(resource, key, subresource);
}

const missingNamespace = (resource: Resource, name: string): FleetwrightError =>
  new FleetwrightError(
    "FW_KUBE_KEY",
    `${resource.kind} ${JSON.stringify(name)}: no namespace, and ${resource.plural} live in one; set metadata.namespace`,
  );

const collectionKey = (options: { readonly namespace?: string }): { readonly namespace?: string } =>
  options.namespace ? { namespace: options.namespace } : {};

/** Objects in lists lack kind and version; a body needs them. */
const typed = (resource: Resource, object: KubeObject): KubeObject => ({
  ...object,
  apiVersion: object.apiVersion ?? apiVersionOf(resource),
  kind: object.kind ?? resource.kind,
});

const listQuery = (options: ListOptions): Record<string, string | number | undefined> => ({
  labelSelector: options.labelSelector,
  fieldSelector: options.fieldSelector,
  limit: options.limit,
  continue: options.continue,
  resourceVersion: options.resourceVersion,
  resourceVersionMatch: options.resourceVersionMatch,
});

const writeQuery = (options: WriteOptions): Record<string, string | undefined> => ({
  fieldManager: options.fieldManager,
  fieldValidation: options.fieldValidation,
  dryRun: options.dryRun === true ? "All" : undefined,
});

const deleteBody = (options: DeleteOptions): unknown => ({
  apiVersion: "v1",
  kind: "DeleteOptions",
  preconditions: options.preconditions,
  propagationPolicy: options.propagationPolicy,
  gracePeriodSeconds: options.gracePeriodSeconds,
  dryRun: options.dryRun === true ? ["All"] : undefined,
});
