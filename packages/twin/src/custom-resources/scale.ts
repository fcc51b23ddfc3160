import type { CustomResourceSubresourceScale } from "@fleetwright/kube";
import { isDraft, type Draft, type DraftValue } from "../machinery/draft.ts";
import type { Subresource } from "../machinery/kind.ts";
import type { Schema } from "../machinery/schema.ts";
import { fieldErrors, refusals, type FieldError } from "../machinery/status-error.ts";
import { setKey } from "../apply/set-key.ts";
import { valueAtPath } from "./json-path.ts";
import { objectMetaSchema } from "./object-meta-schema.ts";

const integer: Schema = { type: "integer", format: "int32" };

/** Stands in a Scale for replicas that its object has not; PUT may leave them out, which is 0. */
const noReplicas = -2_147_483_648;

const scaleSchema: Schema = {
  type: "object",
  properties: {
    apiVersion: { type: "string" },
    kind: { type: "string" },
    metadata: objectMetaSchema,
    spec: { type: "object", properties: { replicas: integer } },
    status: { type: "object", properties: { replicas: integer, selector: { type: "string" } }, required: ["replicas"] },
  },
  "x-kubernetes-group-version-kind": [{ group: "autoscaling", version: "v1", kind: "Scale" }],
};

export const stepsOf = (path: string): readonly string[] => path.replace(/^\./, "").split(".");

const goType = (value: DraftValue): string => {
  if (value === null || value === undefined) return "<nil>";
  if (typeof value === "string") return "string";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return Number.isInteger(value) ? "int64" : "float64";
  return Array.isArray(value) ? "[]interface {}" : "map[string]interface {}";
};

const goText = (value: DraftValue): string =>
  value === null || value === undefined ? "<nil>" : typeof value === "object" ? JSON.stringify(value) : String(value);

/** `unstructured.NestedInt64` and its errors. */
function integerAt(object: Readonly<Draft>, path: string): { value: number | undefined; problem?: string } {
  const steps = stepsOf(path);
  const dotted = `.${steps.join(".")}`;
  for (let depth = 1; depth < steps.length; depth++) {
    const container = valueAtPath(object, steps.slice(0, depth));
    if (container === undefined || isDraft(container)) continue;
    const text = `${goText(container)} is of the type ${goType(container)}`;
    return { value: undefined, problem: `${dotted} accessor error: ${text}, expected map[string]interface{}` };
  }
  const value = valueAtPath(object, steps);
  if (value === undefined) return { value };
  if (typeof value === "number" && Number.isInteger(value)) return { value };
  const problem = `${dotted} accessor error: ${goText(value)} is of the type ${goType(value)}, expected int64`;
  return { value: undefined, problem };
}

function replicasErrors(object: Readonly<Draft>, path: string): FieldError[] {
  const { value = 0, problem } = integerAt(object, path);
  if (problem !== undefined) return [fieldErrors.invalid(path, 0, problem)];
  if (value < 0) return [fieldErrors.invalid(path, value, "should be a non-negative integer")];
  if (value > 2_147_483_647) {
    return [fieldErrors.invalid(path, value, "should be less than or equal to 2147483647")];
  }
  return [];
}

/** What is wrong with the fields that `/scale` shows (registry/customresource/validator.go). */
export function scaleErrors(
  object: Readonly<Draft>,
  scale: CustomResourceSubresourceScale | undefined,
  parts: "all" | "status",
): FieldError[] {
  if (scale === undefined) return [];
  const errors = parts === "all" ? replicasErrors(object, scale.specReplicasPath) : [];
  errors.push(...replicasErrors(object, scale.statusReplicasPath));
  if (scale.labelSelectorPath !== undefined) {
    const selector = valueAtPath(object, stepsOf(scale.labelSelectorPath));
    if (selector !== undefined && typeof selector !== "string") {
      const problem = `.${stepsOf(scale.labelSelectorPath).join(".")} accessor error: ${goText(selector)} is of the type ${goType(selector)}, expected string`;
      errors.push(fieldErrors.invalid(scale.labelSelectorPath, "", problem));
    }
  }
  return errors;
}

function setAtPath(object: Draft, steps: readonly string[], value: DraftValue): void {
  let at = object;
  for (const step of steps.slice(0, -1)) {
    const child = Object.hasOwn(at, step) ? at[step] : undefined;
    if (isDraft(child)) at = child;
    else {
      const created: Draft = {};
      setKey(at, step, created);
      at = created;
    }
  }
  const last = steps.at(-1);
  if (last !== undefined) setKey(at, last, value);
}

/** `/scale` of a custom resource: an autoscaling/v1 Scale of the fields that the definition names. */
export function scaleSubresource(
  scale: CustomResourceSubresourceScale,
  replicasPaths: NonNullable<Subresource["view"]>["replicasPaths"] = {},
): Subresource {
  const isMissing = (parent: Readonly<Draft>): boolean => integerAt(parent, scale.specReplicasPath).value === undefined;
  const pathText = JSON.stringify(scale.specReplicasPath);
  return {
    name: "scale",
    kind: { group: "autoscaling", version: "v1", kind: "Scale" },
    schema: scaleSchema,
    verbs: ["get", "patch", "update"],
    view: {
      replicasPaths,
      missing: (parent) =>
        isMissing(parent) ? refusals.internal(`the spec replicas field ${pathText} does not exist`) : undefined,
      read(parent) {
        const spec = integerAt(parent, scale.specReplicasPath);
        const status = integerAt(parent, scale.statusReplicasPath);
        const problem = spec.problem ?? status.problem;
        if (problem !== undefined) throw refusals.internal(problem);
        const metadata = isDraft(parent["metadata"]) ? parent["metadata"] : {};
        const selector =
          scale.labelSelectorPath === undefined || scale.labelSelectorPath === ""
            ? undefined
            : valueAtPath(parent, stepsOf(scale.labelSelectorPath));
        const kept = ["name", "namespace", "uid", "resourceVersion", "creationTimestamp"];
        return {
          kind: "Scale",
          apiVersion: "autoscaling/v1",
          metadata: Object.fromEntries(
            kept.filter((key) => metadata[key] !== undefined).map((key) => [key, metadata[key]]),
          ),
          spec: spec.value === 0 ? {} : { replicas: spec.value ?? noReplicas },
          status: {
            replicas: status.value ?? 0,
            ...(typeof selector === "string" && selector !== "" ? { selector } : {}),
          },
        };
      },
      write(parent, view) {
        const replicas = isDraft(view["spec"]) ? view["spec"]["replicas"] : undefined;
        if (replicas === noReplicas) throw refusals.badRequest(`the spec replicas field ${pathText} cannot be empty`);
        setAtPath(parent, stepsOf(scale.specReplicasPath), replicas ?? 0);
      },
    },
  };
}
