import { createPrivateKey } from "node:crypto";
import { ClusterRoles, Endpoints } from "@fleetwright/kube";
import type { Clock, Logger, Random } from "@fleetwright/kube";
import { mutatingPolicyPlugin } from "../admission/policy-mutating.ts";
import { validatingPolicyPlugin } from "../admission/policy-validating.ts";
import { callWebhook as callOverHttps } from "../admission/webhook-client.ts";
import type { WebhookAddress, WebhookCaller } from "../admission/webhook-client.ts";
import { mutatingWebhookPlugin, validatingWebhookPlugin } from "../admission/webhooks.ts";
import { createServiceResolver } from "./service-address.ts";
import { defaultPlugins } from "../admission/default-plugins.ts";
import { createAuthenticator, createTokenAuthenticator } from "../auth/authenticator.ts";
import { bootstrapObjects } from "../auth/bootstrap.ts";
import { createFlowControl } from "../auth/flow-control.ts";
import { impersonate } from "../auth/impersonation.ts";
import { createAuthorizer, forbidden } from "../auth/rbac.ts";
import { createReviewHandlers } from "../auth/reviews.ts";
import { createRoleAggregation } from "../auth/role-aggregation.ts";
import { createServiceAccountTokens } from "../auth/service-account-tokens.ts";
import { createTokenSubresource } from "../auth/token-request.ts";
import { createDiscovery } from "../discovery/discovery.ts";
import type { Draft } from "../machinery/draft.ts";
import type { Kubelets } from "../machinery/kubelets.ts";
import type { ServedKind } from "../machinery/kind.ts";
import type { Call, Reply, RequestContext, RequestInfo } from "../machinery/request.ts";
import { StatusError } from "../machinery/status-error.ts";
import { createServerAccess } from "../rest/access.ts";
import { warningHeaders } from "../rest/context.ts";
import { textOf } from "../rest/core.ts";
import type { Core } from "../rest/core.ts";
import { uid } from "../rest/names.ts";
import { createObjects } from "../rest/objects.ts";
import { createKindRegistry } from "../rest/registry.ts";
import type { KindRegistry } from "../rest/registry.ts";
import { errorReply, pageNotFound } from "../rest/reply.ts";
import { requestInfoOf } from "../rest/request-info.ts";
import { route } from "../rest/router.ts";
import type { Store } from "../storage/store.ts";
import { columnsOfPrinterColumns } from "../table/printer-columns.ts";
import type { AuditedCall, AuditLog } from "./audit-log.ts";
import { assembleBuiltinKinds } from "./builtin-kinds.ts";
import { createCustomKinds, definitionsCollection } from "./custom-kinds.ts";
import { createFlowSchemaConditions, flowSchemasCollection, priorityLevelsCollection } from "./flow-schemas.ts";
import { healthReply } from "./health.ts";
import { createServerMetrics } from "./metrics.ts";
import { openidReply } from "./openid.ts";
import { builtinRules } from "./kind-rules.ts";

export interface ApiServerOptions {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly serviceAddressRange: string;
  /** PEM: signs service account tokens. */
  readonly serviceAccountKey: string;
  /** PEM of the authority of client certificates. */
  readonly clientCa: string;
  /** Absent: nothing is written down. */
  readonly auditLog?: AuditLog;
  /** @default over HTTPS */
  readonly callWebhook?: WebhookCaller;
  /** Answers for the nodes. @default nobody does */
  readonly kubelets?: Kubelets;
}

export interface ApiServer {
  handle(call: Call): Promise<Reply>;
}

/**
 * Puts the parts together: who calls, whether there is room, whether they may, and what they get
 * (k8s.io/apiserver/pkg/server/config.go, DefaultBuildHandlerChain).
 */
export async function createApiServer(options: ApiServerOptions): Promise<ApiServer> {
  const { store, clock, random, logger, callWebhook = callOverHttps } = options;
  const late: { core?: Core } = {};
  const coreNow = (): Core => {
    if (late.core === undefined) throw new Error("the server is not assembled yet");
    return late.core;
  };
  // The kinds' own handlers read objects, and reading needs to know where kinds are kept.
  const objects = createObjects(store, { collectionOf: (group, plural) => registry.collectionOf(group, plural) });
  const keys = { signingKey: createPrivateKey(options.serviceAccountKey) };
  const tokens = createServiceAccountTokens({ server: { objects }, clock, keys });
  const registry: KindRegistry = createKindRegistry(
    assembleBuiltinKinds(builtinRules({ tokenSubresource: createTokenSubresource({ tokens, clock }) })),
  );
  const parts = { store, registry, clock, random, logger };
  const kubelets = options.kubelets === undefined ? {} : { kubelets: options.kubelets };
  const access = createServerAccess({ ...parts, objects, ...kubelets }, coreNow);
  const resolveService = createServiceResolver(objects);
  const authorize = createAuthorizer({ server: access });
  const identify = createTokenAuthenticator({ serviceAccountTokens: tokens });
  const authenticate = createAuthenticator({ tokens: identify });
  const discovery = createDiscovery({ kinds: () => registry.all(), revision: () => registry.revision });
  const metrics = createServerMetrics({ store, kinds: () => registry.all(), clock });
  const flowControl = createFlowControl({ server: access, clock });
  const aggregateRoles = createRoleAggregation(access);

  const customKinds = createCustomKinds({
    access,
    registry,
    logger,
    hooks: {
      columns: columnsOfPrinterColumns,
      newUid: () => uid(random),
      callWebhook: (clientConfig, review, timeoutSeconds) =>
        callWebhook(clientConfig as WebhookAddress, review, {
          timeoutSeconds,
          signal: new AbortController().signal,
          resolveService,
          clock,
        }),
    },
    context: () => serverContext(clock.now()),
  });

  const flowSchemas = createFlowSchemaConditions({ access, logger });

  /** A later Service of the same name must not begin with another's endpoints (pkg/registry/core/service/storage). */
  function removeEndpoints(service: Readonly<Draft>): void {
    const key = { namespace: namespaceOf(service), name: nameOf(service) };
    if (access.objects.get(Endpoints, key) === undefined) return;
    access.delete(Endpoints, key, {}, serverContext(clock.now())).catch((error: unknown) => {
      const isGone = error instanceof StatusError && error.code === 404;
      if (!isGone) logger.error({ error, ...key }, "cannot remove the endpoints of a service that is gone");
    });
  }

  function afterWrite(kind: ServedKind, object: Readonly<Draft>, deleted: boolean): void {
    if (kind.collection === definitionsCollection) customKinds.changed(nameOf(object));
    // A definition that goes waits for the last of its objects.
    else if (!kind.builtin && deleted) customKinds.changed(kind.collection);
    if (kind.collection === "services" && deleted) removeEndpoints(object);
    if (kind.collection === flowSchemasCollection && !deleted) flowSchemas.schemaChanged(nameOf(object));
    if (kind.collection === priorityLevelsCollection) flowSchemas.levelsChanged();
    if (kind.collection === rolesCollection) {
      void aggregateRoles().catch((error: unknown) => logger.error({ error }, "cannot aggregate cluster roles"));
    }
  }
  const core: Core = {
    ...parts,
    access,
    authorize,
    plugins: defaultPlugins({
      server: access,
      authorize,
      mutatingAdmissionPolicy: mutatingPolicyPlugin({ server: access, authorize }),
      validatingAdmissionPolicy: validatingPolicyPlugin({ server: access, authorize }),
      mutatingAdmissionWebhook: mutatingWebhookPlugin({ server: access, authorize, resolveService, callWebhook }),
      validatingAdmissionWebhook: validatingWebhookPlugin({ server: access, authorize, resolveService, callWebhook }),
    }),
    reviews: createReviewHandlers({ server: access, authorize, tokens: identify }),
    afterWrite,
  };
  late.core = core;

  const started = { nowMs: clock.now(), clientCertificateAuthority: options.clientCa };
  for (const { resource, object } of bootstrapObjects({ ...started, serviceCidr: options.serviceAddressRange })) {
    await access.create(resource, object);
  }

  customKinds.load();

  function failed(error: unknown, call: Call): Reply {
    if (!(error instanceof StatusError) && !call.signal.aborted) {
      logger.error({ error, method: call.method, path: call.path }, "a request failed by a defect of the server");
    }
    return errorReply(error, call);
  }

  async function answer(call: Call, info: RequestInfo, identified?: AuditedCall["identified"]): Promise<Reply> {
    const user = impersonate(await authenticate(call), call.headers, info, authorize);
    identified?.(user);
    const turn = await flowControl.begin(user, info, call.signal);
    try {
      const decision = authorize(user, info);
      if (!decision.allowed) throw forbidden(user, info, decision.reason);
      const reply = info.isResource
        ? await route(core, call, info, user)
        : (discovery.answer(call) ??
          healthReply(call) ??
          openidReply(call, tokens) ??
          (await metrics.answer(call)) ??
          pageNotFound());
      return { ...reply, headers: { ...turn.headers, ...reply.headers } };
    } finally {
      turn.done();
    }
  }

  return {
    async handle(call) {
      const info = requestInfoOf(call.method, call.path, call.query);
      const kind = info.isResource ? registry.find(info.group, info.version, info.resource) : undefined;
      const audited = options.auditLog?.begin(call, info);
      const reply = await answer(audited?.call ?? call, info, audited?.identified).catch((error: unknown) =>
        failed(error, call),
      );
      await audited?.answered(reply);
      metrics.answered(call, info, kind, reply.status);
      return kind?.deprecation === undefined || isUnserved(reply) ? reply : warned(reply, kind.deprecation);
    },
  };
}

/** The path or its method is nobody's: what the router itself answers. */
const isUnserved = ({ status, body }: Reply): boolean =>
  status === 405 || (status === 404 && typeof body === "string" && body.includes('"details":{}'));

/** The warning comes before those of the request itself. */
function warned(reply: Reply, text: string): Reply {
  const { warning: [first] = [] } = warningHeaders(new Set([text]));
  const others = reply.headers["warning"];
  const all = [first ?? "", ...(others === undefined ? [] : typeof others === "string" ? [others] : others)];
  return { ...reply, headers: { ...reply.headers, warning: all } };
}

const nameOf = (object: Readonly<Draft>): string => textOf((object["metadata"] as Draft | undefined)?.["name"]);

const namespaceOf = (object: Readonly<Draft>): string =>
  textOf((object["metadata"] as Draft | undefined)?.["namespace"]);

/** The server's own doing, as admission and strategies see it. */
const serverContext = (nowMs: number): RequestContext => ({
  info: requestInfoOf("GET", "/", new URLSearchParams()),
  user: { username: "system:apiserver", groups: ["system:masters"] },
  dryRun: false,
  fieldManager: "kube-apiserver",
  signal: new AbortController().signal,
  nowMs,
  warn() {},
});

const rolesCollection = `${ClusterRoles.plural}.${ClusterRoles.group}`;
