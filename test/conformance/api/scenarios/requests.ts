/** Headers of the media types that scenarios speak. */
export const types = {
  merge: { "content-type": "application/merge-patch+json" },
  json: { "content-type": "application/json-patch+json" },
  strategic: { "content-type": "application/strategic-merge-patch+json" },
  apply: { "content-type": "application/apply-patch+yaml" },
  yaml: { "content-type": "application/yaml" },
} as const;

export const tableHeaders = { accept: "application/json;as=Table;v=v1;g=meta.k8s.io,application/json" } as const;

export const configMap = (
  name: string,
  data: Readonly<Record<string, string>> = {},
  metadata: object = {},
): object => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, ...metadata },
  data,
});

export const pod = (name: string, spec: object = {}, metadata: object = {}): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, ...metadata },
  spec: { containers: [{ name: "main", image: "example.com/app:1" }], ...spec },
});

export const deployment = (name: string, spec: object = {}): object => ({
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: { name },
  spec: {
    selector: { matchLabels: { app: name } },
    template: {
      metadata: { labels: { app: name } },
      spec: { containers: [{ name: "main", image: "example.com/app:1" }] },
    },
    ...spec,
  },
});

/** What a `given` or `send` answered, as an object with metadata. */
export interface Stored {
  readonly metadata: {
    readonly name: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly continue?: string;
  };
}

export const stored = (answer: { readonly body: unknown }): Stored => answer.body as Stored;
