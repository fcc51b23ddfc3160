import type { TObject } from "typebox";
import { structuralSchema } from "./schema.ts";

/** A column of `kubectl get`. */
export interface PrinterColumn {
  readonly name: string;
  readonly type: "string" | "integer" | "number" | "boolean" | "date";
  readonly jsonPath: string;
  readonly description?: string;
  /** 0 is always shown, above only with `-o wide`. */
  readonly priority?: number;
}

/** A resource of ours, said once: what the code types, what the server validates and what kubectl prints. */
export interface CustomResource<T = unknown> {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly namespaced: boolean;
  readonly shortNames: readonly string[];
  readonly categories?: readonly string[];
  readonly schema: TObject;
  readonly hasStatus: boolean;
  readonly columns: readonly PrinterColumn[];
  /** Never set: carries `T`. */
  readonly type?: T;
}

/** `metav1` fields that every schema carries; the server knows their types. */
const header = {
  apiVersion: {
    type: "string",
    description: "The version of the schema of this object.",
  },
  kind: { type: "string", description: "The kind of this object." },
  metadata: { type: "object" },
} as const;

/** The `apiextensions.k8s.io/v1` CustomResourceDefinition of a resource. */
export function customResourceDefinition(resource: CustomResource): Readonly<Record<string, unknown>> {
  const { apiVersion, kind, metadata } = header;
  const { properties, ...rest } = structuralSchema(resource.schema);
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${resource.plural}.${resource.group}` },
    spec: {
      group: resource.group,
      scope: resource.namespaced ? "Namespaced" : "Cluster",
      names: {
        kind: resource.kind,
        listKind: `${resource.kind}List`,
        plural: resource.plural,
        singular: resource.singular,
        shortNames: resource.shortNames,
        ...(resource.categories ? { categories: resource.categories } : {}),
      },
      versions: [
        {
          name: resource.version,
          served: true,
          storage: true,
          additionalPrinterColumns: resource.columns,
          schema: {
            openAPIV3Schema: { ...rest, properties: { apiVersion, kind, metadata, ...(properties as object) } },
          },
          ...(resource.hasStatus ? { subresources: { status: {} } } : {}),
        },
      ],
    },
  };
}
