import { FlowSchemas, PriorityLevelConfigurations } from "@fleetwright/kube";
import type { FlowSchema, Logger } from "@fleetwright/kube";
import type { Mutable } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { StatusError } from "../machinery/status-error.ts";

export const flowSchemasCollection = `${FlowSchemas.plural}.${FlowSchemas.group}`;
export const priorityLevelsCollection = `${PriorityLevelConfigurations.plural}.${PriorityLevelConfigurations.group}`;

const manager = "api-priority-and-fairness-config-consumer-v1";

/** Tells each FlowSchema whether its priority level is there. */
export interface FlowSchemaConditions {
  schemaChanged(name: string): void;
  levelsChanged(): void;
}

const textOf = (time: number): string => `${new Date(time).toISOString().slice(0, 19)}Z`;

/** Sets the condition Dangling. @returns whether that changed anything */
function judge(schema: Mutable<FlowSchema>, isThere: boolean, nowMs: number): boolean {
  const level = schema.spec?.priorityLevelConfiguration?.name ?? "";
  const named = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)}`;
  const wanted = {
    type: "Dangling",
    status: isThere ? "False" : "True",
    reason: isThere ? "Found" : "NotFound",
    message: isThere ? `${named} and it exists` : `${named} but there is no such object`,
  };
  const conditions = schema.status?.conditions ?? [];
  const old = conditions.find(({ type }) => type === wanted.type);
  if (old?.status === wanted.status && old.reason === wanted.reason && old.message === wanted.message) return false;
  const { type, status, reason, message } = wanted;
  const others = conditions.filter((condition) => condition.type !== type);
  schema.status = {
    ...schema.status,
    conditions: [...others, { type, status, lastTransitionTime: textOf(nowMs), reason, message }],
  };
  const fields = ["lastTransitionTime", "message", "reason", "status", "type"].map((name) => [`f:${name}`, {}]);
  const entry = {
    manager,
    operation: "Apply" as const,
    apiVersion: "flowcontrol.apiserver.k8s.io/v1",
    time: textOf(nowMs),
    fieldsType: "FieldsV1" as const,
    fieldsV1: {
      "f:status": { "f:conditions": { 'k:{"type":"Dangling"}': { ".": {}, ...Object.fromEntries(fields) } } },
    },
    subresource: "status",
  };
  const managers = (schema.metadata.managedFields ?? []).filter((one) => one.manager !== manager);
  schema.metadata.managedFields = [entry, ...managers];
  return true;
}

/** What upstream's server does about its own flow control (k8s.io/apiserver/pkg/util/flowcontrol/apf_controller.go). */
export function createFlowSchemaConditions(parts: {
  readonly access: ServerAccess;
  readonly logger: Logger;
}): FlowSchemaConditions {
  const { access, logger } = parts;
  const waiting = new Set<string>();
  let working = false;

  async function reconcile(name: string): Promise<void> {
    const found = access.objects.get(FlowSchemas, { name });
    if (found === undefined) return;
    await access.modify(FlowSchemas, { name }, (schema) => {
      const level = schema.spec?.priorityLevelConfiguration?.name ?? "";
      const isThere = access.objects.get(PriorityLevelConfigurations, { name: level }) !== undefined;
      return judge(schema, isThere, access.clock.now());
    });
  }

  async function work(): Promise<void> {
    for (const name of waiting) {
      waiting.delete(name);
      try {
        await reconcile(name);
      } catch (error) {
        // It may have gone meanwhile.
        if (!(error instanceof StatusError && error.code === 404))
          logger.error({ error, flowSchema: name }, "cannot tell a FlowSchema its condition");
      }
    }
    working = false;
  }

  function add(names: readonly string[]): void {
    for (const name of names) waiting.add(name);
    if (working) return;
    working = true;
    void Promise.resolve().then(work);
  }

  return {
    schemaChanged: (name) => add([name]),
    levelsChanged: () => add(access.objects.list(FlowSchemas).map(({ metadata }) => metadata.name ?? "")),
  };
}
