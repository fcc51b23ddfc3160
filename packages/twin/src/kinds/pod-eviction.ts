import {
  matchesLabels,
  Pods,
  PodDisruptionBudgets,
  selectorOf,
  timeText,
  type Pod,
  type PodDisruptionBudget,
} from "@fleetwright/kube";
import { isDraft, type Draft } from "../machinery/draft.ts";
import type { SubresourceCall } from "../machinery/kind.ts";
import { fieldErrors, refusals, statusError, StatusError } from "../machinery/status-error.ts";
import { setPodCondition } from "./pod-conditions.ts";

const pods = { group: "", resource: "pods" };
const refusal = "Cannot evict pod as it would violate the pod's disruption budget.";
/** Above it the budget's controller is not keeping up with evictions. */
const mostDisruptedPods = 2000;

/** 429 with the budget as its cause. */
function overBudget(retryAfterSeconds: number, message: string): StatusError {
  const error = statusError(
    429,
    "TooManyRequests",
    refusal,
    {
      causes: [{ reason: "DisruptionBudget", message }],
      ...(retryAfterSeconds === 0 ? {} : { retryAfterSeconds }),
    },
    retryAfterSeconds === 0 ? {} : { "retry-after": String(retryAfterSeconds) },
  );
  return error;
}

const stillProcessing = (name: string): StatusError =>
  overBudget(10, `The disruption budget ${name} is still being processed by the server.`);

function exhausted(budget: PodDisruptionBudget): StatusError {
  const name = budget.metadata.name ?? "";
  const { status } = budget;
  const condition = (status?.conditions ?? []).find(({ type }) => type === "DisruptionAllowed");
  const explained = condition?.status === "False" && condition.message !== "" ? condition : undefined;
  const [desired, current] = [status?.desiredHealthy ?? 0, status?.currentHealthy ?? 0];
  if (explained?.reason === "SyncFailed") {
    return overBudget(
      0,
      `The disruption budget ${name} does not allow evicting pods currently because it failed sync: ${explained.message}`,
    );
  }
  if (current <= desired) {
    return overBudget(0, `The disruption budget ${name} needs ${desired} healthy pods and has ${current} currently`);
  }
  return overBudget(
    0,
    explained === undefined
      ? `The disruption budget ${name} does not allow evicting pods currently`
      : `The disruption budget ${name} does not allow evicting pods currently (${explained.reason}): ${explained.message}`,
  );
}

/** Throws what stands against one more disruption (`checkAndDecrement`). */
function checkBudget(budget: PodDisruptionBudget): void {
  const name = budget.metadata.name ?? "";
  const { status } = budget;
  if ((status?.observedGeneration ?? 0) < (budget.metadata.generation ?? 0)) throw stillProcessing(name);
  const subject = { group: "policy", resource: "poddisruptionbudget" };
  if ((status?.disruptionsAllowed ?? 0) < 0) {
    throw refusals.forbidden(subject, name, "pdb disruptions allowed is negative");
  }
  if (Object.keys(status?.disruptedPods ?? {}).length > mostDisruptedPods) {
    throw refusals.forbidden(
      subject,
      name,
      "DisruptedPods map too big - too many evictions not confirmed by PDB controller",
    );
  }
  if ((status?.disruptionsAllowed ?? 0) === 0) throw exhausted(budget);
}

/** The budget says that a pod is about to go, so that nobody counts on it. */
async function useBudget(call: SubresourceCall, budget: PodDisruptionBudget, dryRun: boolean): Promise<void> {
  const nowMs = call.server.clock.now();
  await call.server.modify(
    PodDisruptionBudgets,
    { namespace: call.namespace, name: budget.metadata.name ?? "" },
    (current) => {
      checkBudget(current);
      const { status } = current;
      if (dryRun || !status) return false;
      status.disruptionsAllowed = (status.disruptionsAllowed ?? 0) - 1;
      if (status.disruptionsAllowed === 0) {
        const conditions = (status.conditions ??= []);
        const index = conditions.findIndex(({ type }) => type === "DisruptionAllowed");
        const before = conditions[index];
        const condition = {
          type: "DisruptionAllowed",
          status: "False",
          reason: "InsufficientPods",
          message: "",
          ...(current.metadata.generation === undefined ? {} : { observedGeneration: current.metadata.generation }),
          lastTransitionTime: before?.status === "False" ? before.lastTransitionTime : timeText(nowMs),
        };
        if (index === -1) conditions.push(condition);
        else conditions[index] = condition;
      }
      status.disruptedPods = { ...status.disruptedPods, [call.name]: timeText(nowMs) };
      return true;
    },
  );
}

const isReady = (pod: Pod): boolean =>
  (pod.status?.conditions ?? []).some(({ type, status }) => type === "Ready" && status === "True");

const isTerminal = (pod: Pod): boolean =>
  pod.status?.phase === "Succeeded" || pod.status?.phase === "Failed" || pod.metadata.deletionTimestamp !== undefined;

function budgetsOf(call: SubresourceCall, pod: Pod): PodDisruptionBudget[] {
  return call.server.objects.list(PodDisruptionBudgets, call.namespace).filter(({ spec }) => {
    if (spec?.selector === undefined) return false;
    try {
      return matchesLabels(selectorOf(spec.selector), pod.metadata.labels);
    } catch {
      return false;
    }
  });
}

const conflictKind = { group: "", resource: "Pod" };

/** Deletes the pod with the options, after saying in its status why it goes. */
async function deletePod(call: SubresourceCall, options: Draft, dryRun: boolean): Promise<void> {
  const key = { namespace: call.namespace, name: call.name };
  let sent = options;
  if (!dryRun) {
    const preconditions = isDraft(options["preconditions"]) ? options["preconditions"] : {};
    const [uid, version] = [preconditions["uid"], preconditions["resourceVersion"]];
    const changed = await call.server.modify(Pods, key, (pod) => {
      if (typeof uid === "string" && uid !== "" && uid !== pod.metadata.uid) {
        throw refusals.conflict(
          conflictKind,
          call.name,
          `the UID in the precondition (${uid}) does not match the UID in record (${pod.metadata.uid ?? ""}). The object might have been deleted and then recreated`,
        );
      }
      if (typeof version === "string" && version !== "" && version !== pod.metadata.resourceVersion) {
        throw refusals.conflict(
          conflictKind,
          call.name,
          `the ResourceVersion in the precondition (${version}) does not match the ResourceVersion in record (${pod.metadata.resourceVersion ?? ""}). The object might have been modified`,
        );
      }
      return setPodCondition(
        pod,
        {
          type: "DisruptionTarget",
          status: "True",
          reason: "EvictionByEvictionAPI",
          message: "Eviction API: evicting",
        },
        call.server.clock.now(),
      );
    });
    if (typeof version === "string" && changed.metadata.resourceVersion !== undefined) {
      sent = { ...options, preconditions: { ...preconditions, resourceVersion: changed.metadata.resourceVersion } };
    }
  }
  await call.server.delete(Pods, key, sent, { ...call.context, dryRun });
}

const done: Draft = { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };

function withVersion(options: Draft, pod: Pod): Draft {
  const preconditions = isDraft(options["preconditions"]) ? options["preconditions"] : {};
  return { ...options, preconditions: { ...preconditions, resourceVersion: pod.metadata.resourceVersion } };
}

/** POST `eviction` (pkg/registry/core/pod/storage/eviction.go): a deletion that asks the pod's disruption budget first. */
export async function evictPod(call: SubresourceCall): Promise<Draft> {
  const { body, server, namespace, name } = call;
  const metadata = isDraft(body["metadata"]) ? body["metadata"] : {};
  if ((metadata["name"] ?? "") !== name) {
    throw refusals.badRequest("name in URL does not match name in Eviction object");
  }
  const options = isDraft(body["deleteOptions"]) ? body["deleteOptions"] : {};
  if (options["ignoreStoreReadErrorWithClusterBreakingPotential"] === true) {
    throw refusals.invalid({ group: "policy", resource: "Eviction" }, name, [
      fieldErrors.invalid(
        "deleteOptions.ignoreStoreReadErrorWithClusterBreakingPotential",
        true,
        "can not be set for pod eviction, try after removing the option",
      ),
    ]);
  }
  const dryRun = call.context.dryRun || (Array.isArray(options["dryRun"]) && options["dryRun"].length > 0);
  const pod = server.objects.get(Pods, { namespace, name });
  if (pod === undefined) throw refusals.notFound(pods, name);
  const versioned = isDraft(options["preconditions"]) && options["preconditions"]["resourceVersion"] !== undefined;
  // What has ended, or not begun, is no disruption.
  if (isTerminal(pod) || pod.status?.phase === "Pending") {
    await deletePod(call, isTerminal(pod) || versioned ? options : withVersion(options, pod), dryRun);
    return done;
  }
  const budgets = budgetsOf(call, pod);
  if (budgets.length > 1) {
    throw statusError(
      500,
      "",
      "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
    );
  }
  const [budget] = budgets;
  let unhealthy = false;
  if (budget) {
    const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {};
    // An unready pod does not count as healthy: losing it costs the budget nothing.
    unhealthy =
      !isReady(pod) &&
      (budget.spec?.unhealthyPodEvictionPolicy === "AlwaysAllow" ||
        (currentHealthy >= desiredHealthy && desiredHealthy > 0));
    if (!unhealthy) await useBudget(call, budget, dryRun);
  }
  try {
    await deletePod(call, unhealthy && !versioned ? withVersion(options, pod) : options, dryRun);
  } catch (error) {
    if (budget && unhealthy && !versioned && error instanceof StatusError && error.code === 409) {
      throw stillProcessing(budget.metadata.name ?? "");
    }
    throw error;
  }
  return done;
}
