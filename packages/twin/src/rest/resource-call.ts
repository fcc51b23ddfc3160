import type { UserInfo } from "@fleetwright/kube";
import type { Draft } from "../machinery/draft.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, RequestInfo } from "../machinery/request.ts";
import { refusals } from "../machinery/status-error.ts";
import type { Target } from "./write.ts";
import { requestContext } from "./context.ts";
import type { GatheredContext } from "./context.ts";
import { metadataOf, textOf } from "./core.ts";
import type { Core } from "./core.ts";

/** A request for a kind that is served. */
export interface ResourceCall {
  readonly core: Core;
  readonly call: Call;
  readonly info: RequestInfo;
  readonly kind: ServedKind;
  readonly user: UserInfo;
}

export const headerOf = (call: Call, name: string): string => {
  const value = call.headers[name];
  return typeof value === "string" ? value : (value?.[0] ?? "");
};

export function contextOf(request: ResourceCall, options: { dryRun: boolean; fieldManager: string }): GatheredContext {
  const { core, call, info, user } = request;
  const context = requestContext(call, info, user, core.clock.now(), options);
  contexts.set(call, context);
  return context;
}

const contexts = new WeakMap<Call, GatheredContext>();

/** What a call has been warned of so far. */
export const warningsOf = (call: Call): GatheredContext["warnings"] => contexts.get(call)?.warnings ?? new Set();

export function targetOf(request: ResourceCall, context: GatheredContext, options: Draft): Target {
  const { info, kind } = request;
  return {
    kind,
    namespace: info.namespace,
    name: info.name,
    subresource: info.subresource,
    options,
    context,
  };
}

/** What is sent must be what the path names. @throws StatusError 400 */
export function checkName(object: Draft, info: RequestInfo): void {
  const metadata = metadataOf(object);
  const name = textOf(metadata["name"]);
  if (name === "") {
    throw refusals.badRequest(
      `the name of the object (${info.name} based on URL) was undeterminable: name must be provided`,
    );
  }
  if (name !== info.name) {
    throw refusals.badRequest(`the name of the object (${name}) does not match the name on the URL (${info.name})`);
  }
  const namespace = textOf(metadata["namespace"]);
  if (info.namespace !== "" && namespace !== "" && namespace !== info.namespace && info.resource !== "namespaces") {
    throw refusals.badRequest(
      `the namespace of the object (${namespace}) does not match the namespace on the URL (${info.namespace})`,
    );
  }
}
