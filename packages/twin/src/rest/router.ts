import type { UserInfo } from "@fleetwright/kube";
import type { Call, Reply, RequestInfo } from "../machinery/request.ts";
import { methodNotAllowed, refusals, StatusError } from "../machinery/status-error.ts";
import { warningHeaders } from "./context.ts";
import type { Core } from "./core.ts";
import { subjectOf } from "./core.ts";
import {
  handleCreate,
  handleDelete,
  handleDeleteCollection,
  handleGet,
  handlePatch,
  handleSubresource,
  handleUpdate,
} from "./handlers.ts";
import { warningsOf } from "./resource-call.ts";
import type { ResourceCall } from "./resource-call.ts";
import { handleList } from "./list.ts";
import { checkAccept } from "./negotiate.ts";
import { errorReply, pageNotFound } from "./reply.ts";
import { handleWatch } from "./watch.ts";

/** Answers an authorised request for a resource; refusals come with the warnings that were gathered before. */
export async function route(core: Core, call: Call, info: RequestInfo, user: UserInfo): Promise<Reply> {
  try {
    return await find(core, call, info, user);
  } catch (error) {
    const headers = warningHeaders(warningsOf(call));
    if (!(error instanceof StatusError) || headers["warning"] === undefined) throw error;
    const reply = errorReply(error, call);
    return { ...reply, headers: { ...reply.headers, ...headers } };
  }
}

async function find(core: Core, call: Call, info: RequestInfo, user: UserInfo): Promise<Reply> {
  const kind = core.registry.find(info.group, info.version, info.resource);
  if (kind === undefined) {
    // Groups of custom kinds have no router that could say it in JSON, nor have groups that there are not.
    const served = core.registry.all().some((one) => one.group === info.group && one.builtin);
    if (!served) return pageNotFound();
    throw refusals.pathNotFound();
  }
  if (!kind.builtin) return routeCustom({ core, call, info, kind, user });
  if (!kind.namespaced && info.namespace !== "" && !(kind.plural === "namespaces" && kind.group === "")) {
    throw refusals.pathNotFound();
  }
  if (call.method === "HEAD") throw methodNotAllowed();
  const request: ResourceCall = { core, call, info, kind, user };
  if (info.subresource !== "") {
    const subresource = kind.subresources.get(info.subresource);
    if (subresource === undefined) throw refusals.pathNotFound();
    if (subresource.connect === undefined && !subresource.verbs.some((verb) => verb === info.verb)) {
      throw methodNotAllowed();
    }
    if (subresource.connect === undefined) checkAccept(call, false);
    return handleSubresource(request, subresource);
  }
  if (kind.namespaced && info.namespace === "") {
    if (info.name !== "" && !["list", "watch"].includes(info.verb)) throw refusals.pathNotFound();
    // A collection of all namespaces can be read only.
    if (!["list", "watch"].includes(info.verb)) throw methodNotAllowed();
  }
  if (!kind.verbs.some((verb) => verb === info.verb)) throw methodNotAllowed();
  checkAccept(call, info.verb === "list" || info.verb === "watch");
  return dispatch(request);
}

/** Custom resources have no router: their handler passes on what it does not know (apiextensions' customresource_handler.go). */
async function routeCustom(request: ResourceCall): Promise<Reply> {
  const { info, kind } = request;
  const isList = info.verb === "list" || info.verb === "watch";
  if (kind.namespaced ? info.namespace === "" && !isList : info.namespace !== "") return pageNotFound();
  if (info.subresource === "") return dispatch(request);
  const subresource = kind.subresources.get(info.subresource);
  if (subresource === undefined) throw refusals.notFound(subjectOf(kind), info.name);
  if (!subresource.verbs.some((verb) => verb === info.verb))
    throw refusals.methodNotAllowed(subjectOf(kind), info.verb);
  return handleSubresource(request, subresource);
}

/** What storage refuses as a part of its keys (k8s.io/apiserver/pkg/registry/generic/registry/store.go). */
function checkName(name: string): void {
  const problems =
    name === "." || name === ".."
      ? [`may not be '${name}'`]
      : ["/", "%"].filter((part) => name.includes(part)).map((part) => `may not contain '${part}'`);
  if (problems.length === 0) return;
  throw refusals.badRequest(`Name parameter invalid: ${JSON.stringify(name)}: ${problems.join(";")}`);
}

async function dispatch(request: ResourceCall): Promise<Reply> {
  const { core, call, info, kind } = request;
  if (info.verb !== "list" && info.verb !== "watch") checkName(info.name);
  switch (info.verb) {
    case "get":
      return handleGet(request);
    case "list":
      return handleList(core, call, kind, info);
    case "watch":
      return handleWatch(core, call, kind, info);
    case "create":
      if (info.name !== "" && kind.builtin) throw methodNotAllowed();
      return handleCreate(request);
    case "update":
    case "patch":
      if (info.name === "") throw kind.builtin ? methodNotAllowed() : refusals.badRequest("name must be provided");
      return info.verb === "update" ? handleUpdate(request) : handlePatch(request);
    case "delete":
      return handleDelete(request);
    case "deletecollection":
      return handleDeleteCollection(request);
    default:
      throw refusals.methodNotAllowed(subjectOf(kind), info.verb);
  }
}
