import {
  MutatingWebhookConfigurations,
  ValidatingWebhookConfigurations,
  jsonEqual,
  type Json,
  type JsonPatchOperation,
  type MutatingWebhook,
  type Status,
  type ValidatingWebhook,
} from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import type { Authorize } from "../machinery/authorizer.ts";
import { isDraft, type Draft } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { refusals, statusError, StatusError } from "../machinery/status-error.ts";
import { jsonProblem } from "../schema/json-syntax.ts";
import { compileAdmission, conditionsHold, type AdmissionExpression } from "./policy-expressions.ts";
import { WebhookCallFailure, type ResolveService, type WebhookCaller } from "./webhook-client.ts";
import {
  inForm,
  isAdmissionConfiguration,
  matchedForm,
  namespaceMatches,
  objectMatches,
  replaceContents,
  type MatchedForm,
} from "./webhook-matching.ts";
import { decodeChanged } from "./webhook-decoding.ts";
import { patchedBy } from "./webhook-patch.ts";
import { admissionReview, InvalidAnswer, randomUuid, readAnswer, type AdmissionAnswer } from "./webhook-review.ts";

export interface WebhookDependencies {
  readonly server: ServerAccess;
  readonly authorize: Authorize;
  readonly resolveService: ResolveService;
  readonly callWebhook: WebhookCaller;
}

type Webhook = MutatingWebhook | ValidatingWebhook;

/** A webhook that a request is for. */
interface Invocation<T extends Webhook> {
  readonly webhook: T;
  readonly form: MatchedForm;
}

/** The call did not work out: `failurePolicy` decides what that means. */
class CallFailure extends Error {
  override readonly name = "CallFailure";
  constructor(webhook: string, reason: string) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${reason}`);
  }
}

/** MutatingAdmissionWebhook (apiserver/pkg/admission/plugin/webhook/mutating): one after the other, in order of their configurations' names. */
export function mutatingWebhookPlugin(deps: WebhookDependencies): AdmissionPlugin {
  return {
    name: "MutatingAdmissionWebhook",
    handles: () => true,
    async admit(attributes) {
      if (isAdmissionConfiguration(attributes)) return;
      const configurations = deps.server.objects.list(MutatingWebhookConfigurations);
      if (configurations.length === 0) return;
      const webhooks = configurations.flatMap(({ webhooks: list = [] }) => list);
      const changes: { readonly webhook: MutatingWebhook; readonly at: number }[] = [];
      let lastChange = -1;
      for (const [at, webhook] of webhooks.entries()) {
        const invocation = await invocationOf(webhook, attributes, deps);
        if (invocation === undefined) continue;
        if (await mutate(invocation, attributes, deps)) lastChange = at;
        if (webhook.reinvocationPolicy === "IfNeeded") changes.push({ webhook, at });
      }
      // Those that ran before somebody else's change may see it, once.
      for (const { webhook, at } of changes) {
        if (at >= lastChange) continue;
        const invocation = await invocationOf(webhook, attributes, deps);
        if (invocation !== undefined) await mutate(invocation, attributes, deps);
      }
    },
  };
}

/** ValidatingAdmissionWebhook: all at once; the first refusal in order is the answer. */
export function validatingWebhookPlugin(deps: WebhookDependencies): AdmissionPlugin {
  return {
    name: "ValidatingAdmissionWebhook",
    handles: () => true,
    async validate(attributes) {
      if (isAdmissionConfiguration(attributes)) return;
      const configurations = deps.server.objects.list(ValidatingWebhookConfigurations);
      if (configurations.length === 0) return;
      const invocations: Invocation<ValidatingWebhook>[] = [];
      for (const webhook of configurations.flatMap(({ webhooks = [] }) => webhooks)) {
        const invocation = await invocationOf(webhook, attributes, deps);
        if (invocation !== undefined) invocations.push(invocation);
      }
      const outcomes = await Promise.allSettled(
        invocations.map(async ({ webhook, form }) => {
          const [object, oldObject] = await shownObjects(attributes, form);
          await unlessIgnored(webhook, attributes, async () => {
            const answer = await ask(webhook, form, attributes, object, oldObject, false, deps);
            if (!answer.allowed) throw denial(webhook.name, answer.result);
          });
        }),
      );
      for (const outcome of outcomes) if (outcome.status === "rejected") throw outcome.reason;
    },
  };
}

const shownObjects = async (
  attributes: AdmissionAttributes,
  { served }: MatchedForm,
): Promise<readonly [Draft | undefined, Draft | undefined]> => [
  await inForm(attributes.object, attributes.served, served),
  await inForm(attributes.oldObject, attributes.served, served),
];

/** Compiled once for as long as the configuration stays as it is. */
const compiledConditions = new WeakMap<Webhook, readonly AdmissionExpression[]>();

function conditionsOf(webhook: Webhook): readonly AdmissionExpression[] {
  const known = compiledConditions.get(webhook);
  if (known !== undefined) return known;
  const compiled = (webhook.matchConditions ?? []).map(({ expression }) =>
    compileAdmission(expression.trim(), { hasParams: false, hasAuthorizer: true }, ["bool"]),
  );
  compiledConditions.set(webhook, compiled);
  return compiled;
}

async function invocationOf<T extends Webhook>(
  webhook: T,
  attributes: AdmissionAttributes,
  { server, authorize }: WebhookDependencies,
): Promise<Invocation<T> | undefined> {
  let namespaceError: StatusError | undefined;
  try {
    if (!namespaceMatches(webhook.namespaceSelector, attributes, server)) return undefined;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    namespaceError = error;
  }
  if (!objectMatches(webhook.objectSelector, attributes)) return undefined;
  const form = matchedForm(webhook.rules ?? [], webhook.matchPolicy, attributes, server);
  if (form === undefined) return undefined;
  if (namespaceError !== undefined) throw namespaceError;
  const conditions = conditionsOf(webhook);
  if (conditions.length === 0) return { webhook, form };
  const [object, oldObject] = await shownObjects(attributes, form);
  const input = { attributes, form, object, oldObject, server, authorize };
  const { matches, error } = conditionsHold(conditions, input, webhook.failurePolicy);
  if (error !== undefined) {
    const { group, resource } = attributes.resource;
    throw refusals.forbidden({ group, resource }, attributes.name, error);
  }
  return matches ? { webhook, form } : undefined;
}

/** Whether the webhook has changed the object. */
async function mutate(
  { webhook, form }: Invocation<MutatingWebhook>,
  attributes: AdmissionAttributes,
  deps: WebhookDependencies,
): Promise<boolean> {
  const [object, oldObject] = await shownObjects(attributes, form);
  let changed = false;
  await unlessIgnored(webhook, attributes, async () => {
    const answer = await ask(webhook, form, attributes, object, oldObject, true, deps);
    if (!answer.allowed) throw denial(webhook.name, answer.result);
    const operations = operationsOf(webhook.name, answer);
    if (operations.length === 0) return;
    if (object === undefined || attributes.object === undefined) {
      const text = `admission webhook ${JSON.stringify(webhook.name)} attempted to modify the object, which is not supported for this operation`;
      throw refusals.internal(text);
    }
    const outcome = patchedBy(object, operations);
    if (outcome.object === undefined) throw refusals.internal(outcome.error);
    const patched = decodeChanged(outcome.object, form.served, attributes);
    changed = !jsonEqual(object as unknown as Json, patched as unknown as Json);
    if (!changed) return;
    const back = await inForm(patched, form.served, attributes.served);
    if (back === undefined) throw refusals.internal(`admission webhook ${JSON.stringify(webhook.name)} left no object`);
    replaceContents(attributes.object, back);
  });
  return changed;
}

function operationsOf(name: string, { patch, patchType }: AdmissionAnswer): readonly JsonPatchOperation[] {
  if (patch === "") return [];
  const text = Buffer.from(patch, "base64").toString();
  const problem = jsonProblem(text);
  if (problem !== undefined) throw new CallFailure(name, `received undecodable patch in webhook response: ${problem}`);
  const operations = JSON.parse(text) as unknown;
  if (operations !== null && !Array.isArray(operations)) {
    const reason = "json: cannot unmarshal object into Go value of type jsonpatch.Patch";
    throw new CallFailure(name, `received undecodable patch in webhook response: ${reason}`);
  }
  const list = (operations ?? []) as readonly JsonPatchOperation[];
  if (list.length > 0 && patchType !== "JSONPatch") {
    throw new CallFailure(name, `unsupported patch type ${JSON.stringify(patchType)}`);
  }
  return list;
}

/** Failures of calls are let through where the policy is `Ignore`; refusals never are. */
async function unlessIgnored(
  webhook: Webhook,
  attributes: AdmissionAttributes,
  call: () => Promise<void>,
): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!(error instanceof CallFailure)) throw error;
    if (attributes.context.signal.aborted) throw refusals.timeout("request did not complete within requested timeout");
    if (webhook.failurePolicy !== "Ignore") throw refusals.internal(error.message);
  }
}

async function ask(
  webhook: Webhook,
  form: MatchedForm,
  attributes: AdmissionAttributes,
  object: Draft | undefined,
  oldObject: Draft | undefined,
  mutating: boolean,
  { server, resolveService, callWebhook }: WebhookDependencies,
): Promise<AdmissionAnswer> {
  if (attributes.dryRun && !["None", "NoneOnDryRun"].includes(webhook.sideEffects)) {
    throw refusals.badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
  }
  const version = (webhook.admissionReviewVersions ?? []).find((name) => name === "v1" || name === "v1beta1");
  if (version !== "v1" && version !== "v1beta1") {
    const reason = "webhook does not accept known AdmissionReview versions (v1, v1beta1)";
    throw new CallFailure(webhook.name, `could not create admission objects: ${reason}`);
  }
  const uid = randomUuid(() => server.random.next());
  let answer: AdmissionAnswer;
  try {
    const review = await callWebhook(
      webhook.clientConfig,
      admissionReview(version, uid, attributes, form, object, oldObject),
      {
        timeoutSeconds: webhook.timeoutSeconds ?? 10,
        signal: attributes.context.signal,
        resolveService,
        clock: server.clock,
      },
    );
    answer = readAnswer(review, version, uid, mutating);
  } catch (error) {
    if (error instanceof WebhookCallFailure)
      throw new CallFailure(webhook.name, `failed to call webhook: ${error.message}`);
    if (!(error instanceof InvalidAnswer)) throw error;
    if (error.isUnreadable) throw new CallFailure(webhook.name, `failed to call webhook: ${error.message}`);
    throw new CallFailure(webhook.name, `received invalid webhook response: ${error.message}`);
  }
  for (const warning of answer.warnings) attributes.context.warn(warning);
  return answer;
}

/** A webhook's "no" with its own code and reason (…/webhook/errors/statuserror.go). */
function denial(name: string, result: Draft | undefined): StatusError {
  const status = (result ?? {}) as Partial<Status>;
  const by = `admission webhook ${JSON.stringify(name)} denied the request`;
  const why = [status.message, status.reason].find((text) => typeof text === "string" && text !== "");
  const code = typeof status.code === "number" && status.code >= 400 ? status.code : 400;
  const details = isDraft(result?.["details"]) ? (result["details"] as Status["details"]) : undefined;
  return statusError(
    code,
    typeof status.reason === "string" ? status.reason : "",
    why === undefined ? `${by} without explanation` : `${by}: ${why}`,
    details,
  );
}
