import type { KubeObject, Resource } from "@fleetwright/kube";
import { copyJson, isDraft, untyped } from "../machinery/draft.ts";
import type { Draft, Mutable } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import { WriteConflict } from "../storage/store.ts";
import { apiVersionOf, metadataOf, storageKey, textOf } from "./core.ts";
import type { Core } from "./core.ts";
import { deleteObject, deletionTarget } from "./delete.ts";
import { fillSystemFields } from "./metadata.ts";
import { deleteOptions } from "./options.ts";

/** A copy of all that may be changed. */
function changeable(object: Readonly<Draft>): Draft {
  const { metadata, spec, status } = object;
  return {
    ...object,
    ...(isDraft(metadata) ? { metadata: { ...metadata } } : {}),
    ...(isDraft(spec) ? { spec: { ...spec } } : {}),
    ...(status === undefined ? {} : { status: copyJson(status) }),
  };
}

const noPlugins: Core["plugins"] = [];

/** What the server does to itself. `core` is asked for late: it holds this. */
export function createServerAccess(
  parts: Pick<Core, "store" | "registry" | "clock" | "random" | "logger"> & Pick<ServerAccess, "objects" | "kubelets">,
  core: () => Core,
): ServerAccess {
  const { store, registry } = parts;

  function kindFor(resource: Resource): ServedKind {
    const kind = registry.any(resource.group, resource.plural, resource.version);
    if (kind === undefined) throw refusals.pathNotFound();
    return kind;
  }

  return {
    objects: parts.objects,
    clock: parts.clock,
    random: parts.random,
    logger: parts.logger,
    ...(parts.kubelets === undefined ? {} : { kubelets: parts.kubelets }),
    kindOf: (group, version, plural) => registry.find(group, version, plural),
    kinds: () => registry.all(),

    async modify<T extends KubeObject>(
      resource: Resource<T>,
      key: { readonly namespace?: string; readonly name: string },
      change: (object: Mutable<T>) => boolean | void,
      options: { readonly dryRun?: boolean } = {},
    ): Promise<T> {
      const kind = kindFor(resource);
      const place = storageKey(kind, key.namespace ?? "", key.name);
      const version = store.get(kind.collection, place);
      if (version === undefined) {
        throw refusals.notFound({ group: resource.group, resource: resource.plural }, key.name);
      }
      const object = changeable(version.object);
      // What is stored is of the stored version, which the caller's type must be.
      if (change(object as unknown as Mutable<T>) === false || options.dryRun === true) {
        return object as unknown as T;
      }
      const index = kind.strategy.watchIndex?.(object as unknown as KubeObject) ?? "";
      const written = store.write({
        collection: kind.collection,
        key: place,
        expected: version.revision,
        make(revision) {
          metadataOf(object)["resourceVersion"] = String(revision);
          return { object, index };
        },
      });
      core().afterWrite(kind, object, false);
      await store.durable(written.revision);
      return object as unknown as T;
    },

    async create(resource, object) {
      const kind = kindFor(resource);
      const draft = copyJson(untyped(object));
      fillSystemFields(draft, parts.random, parts.clock.now());
      draft["kind"] = kind.kind;
      draft["apiVersion"] = apiVersionOf(kind);
      const metadata = metadataOf(draft);
      const index = kind.strategy.watchIndex?.(draft as unknown as KubeObject) ?? "";
      try {
        store.write({
          collection: kind.collection,
          key: storageKey(kind, textOf(metadata["namespace"]), textOf(metadata["name"])),
          expected: 0,
          make(revision) {
            metadata["resourceVersion"] = String(revision);
            return { object: draft, index };
          },
        });
      } catch (error) {
        if (error instanceof WriteConflict) return false;
        throw error;
      }
      core().afterWrite(kind, draft, false);
      await store.durable(store.revision);
      return true;
    },

    async delete(resource, key, options: Draft, context: RequestContext) {
      const kind = kindFor(resource);
      const target = deletionTarget(kind, key.namespace ?? "", key.name, context);
      const withoutAdmission: Core = { ...core(), plugins: noPlugins };
      const { object } = await deleteObject(withoutAdmission, target, deleteOptions(new URLSearchParams(), options));
      return object;
    },
  };
}
