import { CustomResourceDefinitions } from "@fleetwright/kube";
import type { CustomResourceDefinition, Logger } from "@fleetwright/kube";
import { compileDefinition, reconcileDefinition } from "../custom-resources/definition.ts";
import type { DefinitionHooks } from "../custom-resources/definition.ts";
import { customResourceDefinitionStrategy } from "../custom-resources/definition-strategy.ts";
import { updateApiServices } from "./custom-api-services.ts";
import { untyped } from "../machinery/draft.ts";
import type { Mutable } from "../machinery/draft.ts";
import { defineStrategy } from "../machinery/kind.ts";
import type { Strategy } from "../machinery/kind.ts";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";
import type { KindRegistry } from "../rest/registry.ts";

export const definitionsCollection = "customresourcedefinitions.apiextensions.k8s.io";
const cleanupFinalizer = "customresourcecleanup.apiextensions.k8s.io";

type Definition = Mutable<CustomResourceDefinition>;
type Condition = NonNullable<NonNullable<Definition["status"]>["conditions"]>[number];

function setCondition(definition: Definition, condition: Omit<Condition, "lastTransitionTime">, nowMs: number): void {
  const status = (definition.status ??= {} as NonNullable<Definition["status"]>);
  const conditions = (status.conditions ??= []);
  const lastTransitionTime = `${new Date(nowMs).toISOString().slice(0, 19)}Z`;
  const index = conditions.findIndex(({ type }) => type === condition.type);
  const old = conditions[index];
  const next: Condition = {
    lastTransitionTime:
      old?.status === condition.status ? (old.lastTransitionTime ?? lastTransitionTime) : lastTransitionTime,
    ...condition,
  };
  if (index < 0) conditions.push(next);
  else conditions[index] = next;
}

/**
 * A definition's deletion begins with a finalizer: its objects go first
 * (apiextensions-apiserver/pkg/registry/customresourcedefinition/etcd.go).
 */
export const definitionStrategy: Strategy = {
  ...customResourceDefinitionStrategy,
  ...defineStrategy<CustomResourceDefinition>({
    markDeleting(definition, context) {
      customResourceDefinitionStrategy.markDeleting?.(definition as never, context);
      setCondition(
        definition,
        {
          type: "Terminating",
          status: "True",
          reason: "InstanceDeletionPending",
          message: "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        },
        context.nowMs,
      );
    },
  }),
};

/** Keeps the served kinds in step with the CustomResourceDefinitions. */
export interface CustomKinds {
  /** A definition was written or removed: what follows from it happens soon. */
  changed(name: string): void;
  /** Serves what is stored, at the start. */
  load(): void;
  /** Resolves when nothing is left to be done. */
  settled(): Promise<void>;
}

const isEstablished = (definition: CustomResourceDefinition): boolean =>
  definition.status?.conditions?.some(({ type, status }) => type === "Established" && status === "True") ?? false;

/**
 * Upstream's naming, establishing and finalizing controllers and its resource handler in one: a definition is looked at
 * after each write, one at a time.
 */
export function createCustomKinds(parts: {
  readonly access: ServerAccess;
  readonly registry: KindRegistry;
  readonly logger: Logger;
  readonly hooks: DefinitionHooks;
  /** For deletions of objects whose definition goes. */
  readonly context: () => RequestContext;
}): CustomKinds {
  const { access, registry, hooks } = parts;
  const waiting = new Set<string>();
  let working: Promise<void> | undefined;

  function serve(name: string): void {
    const definition = access.objects.get(CustomResourceDefinitions, { name });
    registry.setCustom(
      name,
      definition === undefined || !isEstablished(definition) ? [] : compileDefinition(definition, hooks),
    );
  }

  async function finalize(name: string, definition: CustomResourceDefinition): Promise<void> {
    const [kind] = registry.all().filter((one) => one.collection === name && !one.builtin);
    const established = isEstablished(definition) && kind !== undefined;
    if (established) {
      for (const object of access.objects.list(kind)) {
        const { namespace = "", name: objectName = "" } = object.metadata;
        if (object.metadata.deletionTimestamp !== undefined) continue;
        await access.delete(kind, { namespace, name: objectName }, {}, parts.context());
      }
      // Objects with finalizers are waited for: their removal comes back here.
      if (access.objects.list(kind).length > 0) return;
    }
    await access.modify(CustomResourceDefinitions, { name }, (draft) => {
      setCondition(
        draft,
        established
          ? {
              type: "Terminating",
              status: "False",
              reason: "InstanceDeletionCompleted",
              message: "removed all instances",
            }
          : {
              type: "Terminating",
              status: "False",
              reason: "NeverEstablished",
              message: "resource was never established",
            },
        access.clock.now(),
      );
      const rest = (draft.metadata.finalizers ?? []).filter((finalizer) => finalizer !== cleanupFinalizer);
      if (rest.length === 0) delete draft.metadata.finalizers;
      else draft.metadata.finalizers = rest;
    });
    const { metadata } = access.objects.get(CustomResourceDefinitions, { name }) ?? definition;
    if ((metadata.finalizers ?? []).length === 0) {
      await access.delete(CustomResourceDefinitions, { name }, {}, parts.context());
    }
  }

  async function reconcile(name: string): Promise<void> {
    const definition = access.objects.get(CustomResourceDefinitions, { name });
    // `foos.example.com`: the group is what follows the plural.
    await updateApiServices(access, name.slice(name.indexOf(".") + 1), parts.context);
    if (definition === undefined) {
      registry.setCustom(name, []);
      return;
    }
    const others = access.objects.list(CustomResourceDefinitions).filter((other) => other.metadata.name !== name);
    const status = reconcileDefinition(definition, others, access.clock.now());
    if (status !== undefined) {
      await access.modify(CustomResourceDefinitions, { name }, (draft) => {
        untyped(draft)["status"] = untyped(structuredClone(status));
      });
    }
    serve(name);
    const current = access.objects.get(CustomResourceDefinitions, { name });
    if (current?.metadata.deletionTimestamp !== undefined && current.metadata.finalizers?.includes(cleanupFinalizer)) {
      await finalize(name, current);
    }
  }

  async function work(): Promise<void> {
    for (const name of waiting) {
      waiting.delete(name);
      try {
        await reconcile(name);
      } catch (error) {
        parts.logger.error({ error, definition: name }, "cannot reconcile a CustomResourceDefinition");
      }
    }
    working = undefined;
  }

  return {
    changed(name) {
      waiting.add(name);
      working ??= Promise.resolve().then(work);
    },
    load() {
      for (const definition of access.objects.list(CustomResourceDefinitions)) serve(definition.metadata.name ?? "");
    },
    async settled() {
      while (working !== undefined) await working;
    },
  };
}
