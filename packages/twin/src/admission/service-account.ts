import { ServiceAccounts, type Pod, type Random, type ServiceAccount } from "@fleetwright/kube";
import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";
import { typed, type Mutable } from "../machinery/draft.ts";
import type { ServerAccess } from "../machinery/request.ts";
import { isObjectOf, refusal } from "./refusal.ts";

const mountPath = "/var/run/secrets/kubernetes.io/serviceaccount";
const volumePrefix = "kube-api-access-";
const mirrorAnnotation = "kubernetes.io/config.mirror";
/** No vowels and nothing that reads like another (apimachinery/pkg/util/rand). */
const letters = "bcdfghjklmnpqrstvwxz2456789";

const randomName = (random: Random): string =>
  volumePrefix + Array.from({ length: 5 }, () => letters[Math.floor(random.next() * letters.length)] ?? "b").join("");

type PodVolume = NonNullable<NonNullable<Mutable<Pod>["spec"]>["volumes"]>[number];

const tokenVolume = (name: string): PodVolume => ({
  name,
  projected: {
    defaultMode: 420,
    sources: [
      { serviceAccountToken: { path: "token", expirationSeconds: 3607 } },
      { configMap: { name: "kube-root-ca.crt", items: [{ key: "ca.crt", path: "ca.crt" }] } },
      {
        downwardAPI: {
          items: [{ path: "namespace", fieldRef: { apiVersion: "v1", fieldPath: "metadata.namespace" } }],
        },
      },
    ],
  },
});

function mountToken(pod: Mutable<Pod>, random: Random): void {
  const { spec } = pod;
  if (spec === undefined) return;
  const present = (spec.volumes ?? []).find(({ name }) => name.startsWith(volumePrefix))?.name;
  const name = present ?? randomName(random);
  let mounted = false;
  for (const container of [...(spec.initContainers ?? []), ...(spec.containers ?? [])]) {
    if ((container.volumeMounts ?? []).some((mount) => mount.mountPath === mountPath)) continue;
    container.volumeMounts = [...(container.volumeMounts ?? []), { name, readOnly: true, mountPath }];
    mounted = true;
  }
  if (mounted && present === undefined) spec.volumes = [...(spec.volumes ?? []), tokenVolume(name)];
}

function mirrorProblem(pod: Pod): string | undefined {
  if ((pod.spec?.serviceAccountName ?? "") !== "") return "a mirror pod may not reference service accounts";
  const volumes = pod.spec?.volumes ?? [];
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const secrets =
    (pod.spec?.imagePullSecrets ?? []).length > 0 ||
    volumes.some(
      ({ secret, projected }) =>
        secret !== undefined || (projected?.sources ?? []).some((source) => source.secret !== undefined),
    ) ||
    containers.some(
      ({ env = [], envFrom = [] }) =>
        env.some(({ valueFrom }) => valueFrom?.secretKeyRef !== undefined) ||
        envFrom.some(({ secretRef }) => secretRef !== undefined),
    );
  if (secrets) return "a mirror pod may not reference secrets";
  return volumes.some(({ projected }) =>
    (projected?.sources ?? []).some(({ serviceAccountToken }) => serviceAccountToken !== undefined),
  )
    ? "a mirror pod may not use ServiceAccountToken volume projections"
    : undefined;
}

/** What a pod references of secrets that its account does not list, where the account asks for that check. */
function secretProblem(account: ServiceAccount, pod: Pod): string | undefined {
  const value = account.metadata.annotations?.["kubernetes.io/enforce-mountable-secrets"] ?? "";
  if (!["1", "t", "T", "true", "TRUE", "True"].includes(value)) return undefined;
  const name = account.metadata.name ?? "";
  const mountable = new Set((account.secrets ?? []).map((secret) => secret.name ?? ""));
  const end = `is not allowed because service account ${name} does not reference that secret`;
  for (const { secret } of pod.spec?.volumes ?? []) {
    const secretName = secret?.secretName ?? "";
    if (secret !== undefined && !mountable.has(secretName)) {
      return `volume with secret.secretName="${secretName}" ${end}`;
    }
  }
  for (const [word, containers] of [
    ["init container", pod.spec?.initContainers ?? []],
    ["container", pod.spec?.containers ?? []],
  ] as const) {
    for (const { name: container, env = [], envFrom = [] } of containers) {
      for (const variable of env) {
        const reference = variable.valueFrom?.secretKeyRef;
        if (reference !== undefined && !mountable.has(reference.name ?? "")) {
          return `${word} ${container} with envVar ${variable.name} referencing secret.secretName="${reference.name ?? ""}" ${end}`;
        }
      }
      for (const { secretRef } of envFrom) {
        if (secretRef !== undefined && !mountable.has(secretRef.name ?? "")) {
          return `${word} ${container} with envFrom referencing secret.secretName="${secretRef.name ?? ""}" ${end}`;
        }
      }
    }
  }
  const pull = new Set((account.imagePullSecrets ?? []).map((secret) => secret.name ?? ""));
  for (const [index, secret] of (pod.spec?.imagePullSecrets ?? []).entries()) {
    if (!pull.has(secret.name ?? "")) {
      return `imagePullSecrets[${index}].name="${secret.name ?? ""}" is not allowed because service account ${name} does not reference that imagePullSecret`;
    }
  }
  return undefined;
}

/** Gives pods their service account and its token (plugin/pkg/admission/serviceaccount). */
export function serviceAccount(server: Pick<ServerAccess, "objects" | "random">): AdmissionPlugin {
  function accountOf(attributes: AdmissionAttributes, name: string): ServiceAccount {
    const account = server.objects.get(ServiceAccounts, { namespace: attributes.namespace, name });
    if (account !== undefined) return account;
    throw refusal(
      attributes,
      `error looking up service account ${attributes.namespace}/${name}: serviceaccount ${JSON.stringify(name)} not found`,
    );
  }

  function validate(attributes: AdmissionAttributes): void {
    if (!isObjectOf(attributes, "pods") || attributes.operation !== "CREATE" || attributes.object === undefined) return;
    const pod = typed<Pod>(attributes.object);
    if (pod.metadata.annotations?.[mirrorAnnotation] !== undefined) {
      const problem = mirrorProblem(pod);
      if (problem !== undefined) throw refusal(attributes, problem);
      return;
    }
    const name = pod.spec?.serviceAccountName ?? "";
    if (name === "") {
      throw refusal(
        attributes,
        `no service account specified for pod ${attributes.namespace}/${pod.metadata.name ?? ""}`,
      );
    }
    const problem = secretProblem(accountOf(attributes, name), pod);
    if (problem !== undefined) throw refusal(attributes, problem);
  }

  return {
    name: "ServiceAccount",
    handles: (operation) => operation === "CREATE" || operation === "UPDATE",
    admit(attributes) {
      if (!isObjectOf(attributes, "pods") || attributes.operation !== "CREATE" || attributes.object === undefined) {
        return;
      }
      const pod = typed<Pod>(attributes.object);
      const { spec } = pod;
      if (spec !== undefined && pod.metadata.annotations?.[mirrorAnnotation] === undefined) {
        if ((spec.serviceAccountName ?? "") === "") spec.serviceAccountName = "default";
        const account = accountOf(attributes, spec.serviceAccountName ?? "");
        // The deprecated name follows the new one; conversion does this upstream.
        spec.serviceAccount = spec.serviceAccountName ?? "";
        if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) {
          mountToken(pod, server.random);
        }
        if ((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
          spec.imagePullSecrets = (account.imagePullSecrets ?? []).map((secret) => ({ name: secret.name ?? "" }));
        }
      }
      validate(attributes);
    },
    validate,
  };
}
