import { Nodes, Pods, type Pod } from "@fleetwright/kube";
import type { Draft } from "../machinery/draft.ts";
import type { SubresourceCall } from "../machinery/kind.ts";
import type { Kubelets } from "../machinery/kubelets.ts";
import { fieldErrors, refusals, statusError, type FieldError } from "../machinery/status-error.ts";

const pods = { group: "", resource: "pods" };

function integerOf(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null) return undefined;
  if (/^[-+]?\d+$/.test(text)) return Number(text);
  throw refusals.badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
}

/** `ValidatePodLogOptions` (pkg/apis/core/validation/validation.go). */
function checkLogOptions(name: string, query: URLSearchParams): void {
  const errors: FieldError[] = [];
  const [tail, limit, since] = ["tailLines", "limitBytes", "sinceSeconds"].map((each) => integerOf(query, each));
  if (tail !== undefined && tail < 0) {
    errors.push(fieldErrors.invalid("tailLines", tail, "must be greater than or equal to 0"));
  }
  if (limit !== undefined && limit < 1) errors.push(fieldErrors.invalid("limitBytes", limit, "must be greater than 0"));
  if (since !== undefined && query.has("sinceTime")) {
    errors.push(fieldErrors.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"));
  } else if (since !== undefined && since < 1) {
    errors.push(fieldErrors.invalid("sinceSeconds", since, "must be greater than 0"));
  }
  if (query.has("stream")) errors.push(fieldErrors.forbidden("stream", "may not be specified"));
  if (errors.length > 0) throw refusals.invalid({ group: "", resource: "PodLogOptions" }, name, errors);
}

/** `validateContainer` (pkg/registry/core/pod/strategy.go): the one that is named, or the only one. */
function checkContainer(pod: Pod, name: string): void {
  const { containers = [], initContainers = [], ephemeralContainers = [] } = pod.spec ?? {};
  const names = [...initContainers, ...containers, ...ephemeralContainers].map((container) => container.name);
  const podName = pod.metadata.name ?? "";
  if (name !== "") {
    if (!names.includes(name)) throw refusals.badRequest(`container ${name} is not valid for pod ${podName}`);
  } else if (containers.length !== 1) {
    const choice = containers.length === 0 ? "" : `, choose one of: [${names.join(" ")}]`;
    throw refusals.badRequest(`a container name must be specified for pod ${podName}${choice}`);
  }
}

/** The log, once its first piece is there: what the kubelet refuses is refused with its words. */
async function logOf(
  kubelets: Kubelets,
  key: { readonly namespace: string; readonly name: string },
  query: URLSearchParams,
  signal: AbortSignal,
): Promise<AsyncIterable<Buffer>> {
  const flag = (name: string): boolean => ["true", "1"].includes(query.get(name) ?? "");
  const [tailLines, limitBytes, sinceSeconds] = ["tailLines", "limitBytes", "sinceSeconds"].map((each) =>
    integerOf(query, each),
  );
  const sinceTime = query.get("sinceTime");
  const container = query.get("container") ?? "";
  const lines = kubelets.logs(
    key,
    {
      follow: flag("follow"),
      previous: flag("previous"),
      timestamps: flag("timestamps"),
      ...(container === "" ? {} : { container }),
      ...(sinceTime === null ? {} : { sinceTime }),
      ...(tailLines === undefined ? {} : { tailLines }),
      ...(limitBytes === undefined ? {} : { limitBytes }),
      ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    },
    signal,
  );
  let first: IteratorResult<string>;
  try {
    first = await lines.next();
  } catch (error) {
    throw refusals.badRequest(error instanceof Error ? error.message : String(error));
  }
  return piecesOf(first, lines);
}

async function* piecesOf(first: IteratorResult<string>, rest: AsyncIterable<string>): AsyncGenerator<Buffer> {
  if (first.done === true) return;
  yield Buffer.from(first.value);
  for await (const line of rest) yield Buffer.from(line);
}

/** Anything that a kubelet would answer. */
export async function askKubelet(call: SubresourceCall): Promise<Draft | string | AsyncIterable<Buffer>> {
  const { server, namespace, name, subresource, query = new URLSearchParams(), context } = call;
  if (subresource === "log") checkLogOptions(name, query);
  const pod = server.objects.get(Pods, { namespace, name });
  if (pod === undefined) throw refusals.notFound(pods, name);
  if (subresource !== "portforward") checkContainer(pod, query.get("container") ?? "");
  const node = pod.spec?.nodeName ?? "";
  if (node === "") {
    // Nothing has run: nothing has been logged.
    if (subresource === "log") return "";
    throw refusals.badRequest(`pod ${name} does not have a host assigned`);
  }
  // Upstream names the wrong resource when the node is gone.
  const found = server.objects.get(Nodes, { name: node });
  if (found === undefined) throw refusals.notFound(pods, node);
  if ((found.status?.addresses ?? []).length === 0) {
    throw statusError(500, "", "no preferred addresses found; known addresses: []");
  }
  if (server.kubelets !== undefined) {
    if (subresource === "log") return logOf(server.kubelets, { namespace, name }, query, context.signal);
    const wants = { exec: "to run commands in", attach: "to attach to", portforward: "that listens on a port" };
    const text = wants[subresource as keyof typeof wants] ?? "";
    throw refusals.badRequest(
      `pod ${JSON.stringify(`${namespace}/${name}`)} runs on the simulated node ${JSON.stringify(node)}: there is no process ${text}`,
    );
  }
  throw refusals.internal(
    `this API server runs without kubelets: nothing on node ${JSON.stringify(node)} can answer ${subresource} of pod ${JSON.stringify(`${namespace}/${name}`)}`,
  );
}
