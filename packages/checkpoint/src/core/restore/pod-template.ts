import type { Pod } from "@fleetwright/kube";

type Text = Readonly<Record<string, string>>;

/** A pod as a Checkpoint keeps it: what a PodTemplateSpec holds. */
export interface SavedTemplate {
  readonly labels: Text;
  readonly annotations: Text;
  readonly spec: NonNullable<Pod["spec"]>;
}

/** Labels by which a controller would take a pod for one of its own. */
const adoptionLabels = [
  "pod-template-hash",
  "controller-revision-hash",
  "pod-template-generation",
  "statefulset.kubernetes.io/pod-name",
  "apps.kubernetes.io/pod-index",
  "controller-uid",
  "job-name",
  "batch.kubernetes.io/controller-uid",
  "batch.kubernetes.io/job-name",
  "batch.kubernetes.io/job-completion-index",
];
/** Annotations that say something of that one pod, or are another tool's memory. */
const ownAnnotations =
  /^(kubectl\.kubernetes\.io\/last-applied-configuration|cni\.|k8s\.v1\.cni\.|fleetwright\.dev\/|batch\.kubernetes\.io\/)/;

/** What ServiceAccount admission adds; the new pod gets its own. */
const isTokenVolume = (name: string): boolean => name.startsWith("kube-api-access-");

const without = (record: Text | undefined, drop: (key: string) => boolean): Text =>
  Object.fromEntries(Object.entries(record ?? {}).filter(([key]) => !drop(key)));

/** What of a pod makes another one of its kind: nothing that the server or an admission plugin added to this one. */
export function savedTemplate(pod: Pod): SavedTemplate {
  const { spec } = pod;
  if (spec === undefined) throw new TypeError("a pod without a spec");
  const { nodeName: _, ephemeralContainers: __, serviceAccount: ___, ...kept } = spec;
  const withoutToken = <T extends { readonly volumeMounts?: readonly { readonly name: string }[] }>(
    container: T,
  ): T => ({
    ...container,
    ...(container.volumeMounts && { volumeMounts: container.volumeMounts.filter(({ name }) => !isTokenVolume(name)) }),
  });
  return {
    labels: pod.metadata.labels ?? {},
    annotations: without(pod.metadata.annotations, (key) => ownAnnotations.test(key)),
    spec: {
      ...kept,
      containers: spec.containers.map(withoutToken),
      ...(spec.initContainers && { initContainers: spec.initContainers.map(withoutToken) }),
      ...(spec.volumes && { volumes: spec.volumes.filter(({ name }) => !isTokenVolume(name)) }),
    },
  };
}

export interface RestoredPodOptions {
  readonly name: string;
  readonly namespace: string;
  readonly nodeName: string;
  /** Images by container. */
  readonly images: ReadonlyMap<string, string>;
  /** Beside the saved ones. */
  readonly labels?: Text;
  /** None of the saved labels. */
  readonly isolated?: boolean;
  readonly annotations?: Text;
  readonly serviceAccountName?: string;
  /** Volumes that do not exist here and are replaced by empty folders. */
  readonly emptyVolumes?: ReadonlySet<string>;
}

/** `metadata.name` is the only field that node affinity matches; the scheduler still looks at room and taints. */
const onNode = (nodeName: string) => [{ key: "metadata.name", operator: "In", values: [nodeName] }];

/** The pod that goes on from a checkpoint: the saved one on that node, with the images of its containers' checkpoints. */
export function restoredPod(template: SavedTemplate, options: RestoredPodOptions): Pod {
  const { spec } = template;
  const affinity = spec.affinity?.nodeAffinity;
  const required = affinity?.requiredDuringSchedulingIgnoredDuringExecution;
  const terms = required?.nodeSelectorTerms ?? [{}];
  const restored = <T extends { readonly name: string; readonly image?: string; readonly imagePullPolicy?: string }>(
    container: T,
  ): T => {
    const image = options.images.get(container.name);
    return image === undefined ? container : { ...container, image, imagePullPolicy: "IfNotPresent" };
  };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: options.name,
      namespace: options.namespace,
      labels: {
        ...(options.isolated ? {} : without(template.labels, (key) => adoptionLabels.includes(key))),
        ...options.labels,
      },
      annotations: { ...template.annotations, ...options.annotations },
    },
    spec: {
      ...spec,
      ...(options.serviceAccountName && { serviceAccountName: options.serviceAccountName }),
      containers: spec.containers.map(restored),
      ...(spec.initContainers && { initContainers: spec.initContainers.map(restored) }),
      ...(spec.volumes && {
        volumes: spec.volumes.map((volume) =>
          options.emptyVolumes?.has(volume.name) ? { name: volume.name, emptyDir: {} } : volume,
        ),
      }),
      affinity: {
        ...spec.affinity,
        nodeAffinity: {
          ...affinity,
          requiredDuringSchedulingIgnoredDuringExecution: {
            nodeSelectorTerms: terms.map((term) => ({
              ...term,
              matchFields: [...(term.matchFields ?? []), ...onNode(options.nodeName)],
            })),
          },
        },
      },
    },
  };
}

/** What a pod mounts that must exist before it can start. */
export interface NeededObject {
  readonly volume: string;
  readonly kind: "PersistentVolumeClaim" | "Secret" | "ConfigMap";
  readonly name: string;
}

/** Objects behind the volumes of a template, optional ones left out. */
export function neededObjects(spec: SavedTemplate["spec"]): readonly NeededObject[] {
  return (spec.volumes ?? []).flatMap((volume): NeededObject[] => {
    const { name, persistentVolumeClaim: claim, secret, configMap, projected } = volume;
    return [
      ...(claim ? [{ volume: name, kind: "PersistentVolumeClaim" as const, name: claim.claimName }] : []),
      ...(secret?.secretName && secret.optional !== true
        ? [{ volume: name, kind: "Secret" as const, name: secret.secretName }]
        : []),
      ...(configMap?.name && configMap.optional !== true
        ? [{ volume: name, kind: "ConfigMap" as const, name: configMap.name }]
        : []),
      ...(projected?.sources ?? []).flatMap((source): NeededObject[] => [
        ...(source.secret?.name && source.secret.optional !== true
          ? [{ volume: name, kind: "Secret" as const, name: source.secret.name }]
          : []),
        ...(source.configMap?.name && source.configMap.optional !== true
          ? [{ volume: name, kind: "ConfigMap" as const, name: source.configMap.name }]
          : []),
      ]),
    ];
  });
}
