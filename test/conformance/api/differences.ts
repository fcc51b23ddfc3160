import type { ExplainedDifference } from "./compare.ts";

/** Where the twin differs and why it may: each id has its row in docs/twin-differences.md. */
export const explainedDifferences: readonly ExplainedDifference[] = [
  {
    id: "aggregated-roles",
    scenarios: ["access/the roles of the start are there"],
    paths: /^\[\d\]\.body\.rules$/,
  },
  {
    id: "claims",
    scenarios: [
      "kinds-core/PersistentVolumeClaim (v1) is created by apply and applied again",
      "kinds-core/PersistentVolumeClaim (v1) is unchanged, revision included, by a patch without effect",
      "kinds-core/PersistentVolumeClaim (v1) has a status of its own",
    ],
    paths: /^\[\d\]\.body\.metadata\.resourceVersion$/,
  },
  {
    id: "definition-status",
    scenarios: ["kinds-apiextensions/CustomResourceDefinition (apiextensions.k8s.io/v1) has a status of its own"],
    paths: /^\[[12]\]\.body\.(metadata\.resourceVersion|status\.conditions.*)$/,
  },
  { id: "explain", scenarios: ["kubectl/explain"], paths: /^\[\d\]\.stdout$/ },
  {
    id: "service-names",
    scenarios: ["kinds-core/Service (v1) is refused under another kind, version or name"],
    paths: /^\[[23]\]\.body\.(message|details\.causes.*)$/,
  },
  {
    id: "spec-difference",
    scenarios: [
      "pods/ephemeral containers come by their subresource",
      "pods/little of a pod's spec changes",
      "pods/resources change by resize",
    ],
    paths: /^\[\d\]\.body\.(message|details\.causes\[0\]\.message)$/,
  },
  {
    id: "yaml-texts",
    scenarios: ["bad-types/a YAML body is read, and answered as asked"],
    paths: /^\[\d\]\.body\.message$/,
  },
];
