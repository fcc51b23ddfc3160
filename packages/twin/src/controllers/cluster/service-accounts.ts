import { ConfigMaps, createController, isAlreadyExists, Namespaces, ServiceAccounts, watch } from "@fleetwright/kube";
import type { KubeObject, Namespace } from "@fleetwright/kube";
import type { ControllerContext, Controllers, Part } from "../context.ts";

const isActive = (namespace: Namespace | undefined): boolean =>
  namespace !== undefined &&
  namespace.metadata.deletionTimestamp === undefined &&
  namespace.status?.phase !== "Terminating";

const namespaceOf = ({ metadata }: KubeObject): readonly { readonly name: string }[] => [
  { name: metadata.namespace ?? "" },
];

/** "default" in every namespace (pkg/controller/serviceaccount/serviceaccounts_controller.go). */
export const serviceAccountController: Controllers = (context) => [startAccounts(context)];

function startAccounts({ cache, clientOf, clock, logger }: ControllerContext): Part {
  const namespaces = cache.informer(Namespaces);
  const accounts = cache.informer(ServiceAccounts);
  const client = clientOf("service-account-controller");
  return createController({
    name: "serviceaccount",
    reconciler: {
      async reconcile({ name: namespace }) {
        if (
          !isActive(namespaces.get({ name: namespace })) ||
          accounts.get({ namespace, name: "default" }) !== undefined
        )
          return;
        try {
          await client.create(ServiceAccounts, { metadata: { name: "default", namespace } });
        } catch (error) {
          if (!isAlreadyExists(error)) throw error;
        }
      },
    },
    sources: [
      watch(namespaces),
      watch(accounts, { map: namespaceOf, predicates: [{ added: () => false, updated: () => false }] }),
    ],
    clock,
    logger,
  });
}

const rootCertificate = "kube-root-ca.crt";
const description = {
  "kubernetes.io/description":
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. " +
    "No other usage is guaranteed across distributions of Kubernetes clusters.",
};

/** The authority of the server's certificate in every namespace (pkg/controller/certificates/rootcacertpublisher). */
export const rootCertificateController: Controllers = (context) => [startPublisher(context)];

function startPublisher({ cache, clientOf, clock, logger, caCertificate }: ControllerContext): Part {
  const namespaces = cache.informer(Namespaces);
  const maps = cache.informer(ConfigMaps);
  const client = clientOf("root-ca-cert-publisher");
  const data = { "ca.crt": caCertificate };
  return createController({
    name: "root-ca-certificate-publisher",
    reconciler: {
      async reconcile({ name: namespace }) {
        if (!isActive(namespaces.get({ name: namespace }))) return;
        const present = maps.get({ namespace, name: rootCertificate });
        if (present === undefined) {
          try {
            await client.create(ConfigMaps, {
              metadata: { name: rootCertificate, namespace, annotations: description },
              data,
            });
          } catch (error) {
            if (!isAlreadyExists(error)) throw error;
          }
          return;
        }
        const isRight = present.data?.["ca.crt"] === caCertificate && Object.keys(present.data).length === 1;
        const isDescribed = Object.entries(description).every(
          ([key, value]) => present.metadata.annotations?.[key] === value,
        );
        if (isRight && isDescribed) return;
        const metadata = { ...present.metadata, annotations: { ...present.metadata.annotations, ...description } };
        await client.update(ConfigMaps, { ...present, metadata, data });
      },
    },
    sources: [
      watch(namespaces),
      watch(maps, {
        map: namespaceOf,
        predicates: [
          {
            added: () => false,
            updated: (_, { metadata }) => metadata.name === rootCertificate,
            deleted: ({ metadata }) => metadata.name === rootCertificate,
          },
        ],
      }),
    ],
    clock,
    logger,
  });
}
