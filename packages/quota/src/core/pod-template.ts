/** What quota reads of pods, templates and containers. */

export type Quantities = Readonly<Record<string, string | number>>;

export interface ResourceRequirements {
  readonly requests?: Quantities;
  readonly limits?: Quantities;
}

export interface Container {
  readonly name: string;
  readonly resources?: ResourceRequirements;
  /** `Always` on an init container makes it a sidecar (KEP-753). */
  readonly restartPolicy?: string;
}

export interface ClaimSpec {
  readonly storageClassName?: string;
  readonly resources?: { readonly requests?: Quantities };
}

export interface PodSpec {
  readonly containers?: readonly Container[];
  readonly initContainers?: readonly Container[];
  /** Pod-level resources (KEP-2837). */
  readonly resources?: ResourceRequirements;
  readonly overhead?: Quantities;
  readonly runtimeClassName?: string;
  readonly volumes?: readonly {
    readonly name?: string;
    readonly ephemeral?: { readonly volumeClaimTemplate?: { readonly spec?: ClaimSpec } };
  }[];
}

export interface PodTemplate {
  readonly metadata?: { readonly labels?: Readonly<Record<string, string>> };
  readonly spec?: PodSpec;
}

/** The Container item of a LimitRange: what the LimitRanger plugin fills in. */
export interface ContainerDefaults {
  readonly default?: Quantities;
  readonly defaultRequest?: Quantities;
}

/** What a template's charge depends on beside the template. */
export interface NamespaceDefaults {
  /** In the order in which they are applied. */
  readonly limitRanges: readonly ContainerDefaults[];
  /** `overhead.podFixed` of a RuntimeClass. */
  overhead(runtimeClassName: string): Quantities | undefined;
}

export const noDefaults: NamespaceDefaults = { limitRanges: [], overhead: () => undefined };

function merged(first: Quantities | undefined, fallback: Quantities | undefined): Quantities | undefined {
  return fallback === undefined ? first : { ...fallback, ...first };
}

/** What the API server makes of a pod before quota looks at it: requests default to limits, then LimitRanges fill the gaps, then the overhead. */
export function withDefaults(spec: PodSpec, defaults: NamespaceDefaults): PodSpec {
  const fill = (container: Container): Container => {
    let requests = merged(container.resources?.requests, container.resources?.limits);
    let limits = container.resources?.limits;
    for (const range of defaults.limitRanges) {
      requests = merged(requests, range.defaultRequest);
      limits = merged(limits, range.default);
    }
    return { ...container, resources: { ...(requests && { requests }), ...(limits && { limits }) } };
  };
  const overhead = spec.overhead ?? (spec.runtimeClassName ? defaults.overhead(spec.runtimeClassName) : undefined);
  return {
    ...spec,
    containers: (spec.containers ?? []).map(fill),
    initContainers: (spec.initContainers ?? []).map(fill),
    ...(overhead && { overhead }),
  };
}
