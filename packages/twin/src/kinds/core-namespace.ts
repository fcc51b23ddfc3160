import { labelKeyProblems, type Namespace } from "@fleetwright/kube";
import { copyJson, typed, type Draft, type Mutable } from "../machinery/draft.ts";
import { defineStrategy, type Subresource } from "../machinery/kind.ts";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { labelName } from "./name-checks.ts";
import { invalidFor } from "./value-checks.ts";

const standardFinalizers: ReadonlySet<string> = new Set(["kubernetes", "orphan", "foregroundDeletion"]);

function finalizerErrors(field: string, finalizer: string): FieldError[] {
  const errors = invalidFor(field, finalizer, labelKeyProblems(finalizer));
  if (!finalizer.includes("/") && !standardFinalizers.has(finalizer)) {
    errors.push(
      fieldErrors.invalid(field, finalizer, "name is neither a standard finalizer name nor is it fully qualified"),
    );
  }
  return errors;
}

const specErrors = (namespace: Namespace): FieldError[] =>
  (namespace.spec?.finalizers ?? []).flatMap((finalizer) => finalizerErrors("spec.finalizers", finalizer));

function nameLabel(namespace: Mutable<Namespace>): void {
  const { metadata } = namespace;
  if ((metadata.name ?? "") === "") return;
  metadata.labels = { ...metadata.labels, "kubernetes.io/metadata.name": metadata.name ?? "" };
}

/** pkg/registry/core/namespace. */
export const namespaceStrategy = defineStrategy<Namespace>({
  hasStatus: true,
  nameProblems: labelName,
  // `name` is upstream's mistake that clients came to rely on; it cannot be asked for through v1.
  selectableFields: ["status.phase"],
  fieldValue: (namespace) => namespace.status?.phase ?? "",
  defaults(namespace) {
    nameLabel(namespace);
    const status = (namespace.status ??= {});
    status.phase ||= "Active";
  },
  prepareForCreate(namespace) {
    nameLabel(namespace);
    namespace.status = { phase: "Active" };
    const finalizers = namespace.spec?.finalizers ?? [];
    if (!finalizers.includes("kubernetes")) namespace.spec = { finalizers: [...finalizers, "kubernetes"] };
  },
  prepareForUpdate(namespace, old) {
    nameLabel(namespace);
    if (old.spec?.finalizers === undefined) delete namespace.spec?.finalizers;
    else namespace.spec = { ...namespace.spec, finalizers: [...old.spec.finalizers] };
  },
  validate: specErrors,
  validateUpdate: specErrors,
  // The first DELETE only marks it; who ends its content takes the finalizers away.
  isHeld: ({ metadata, spec }) => metadata.deletionTimestamp === undefined || (spec?.finalizers ?? []).length > 0,
  markDeleting(namespace) {
    namespace.status = { ...namespace.status, phase: "Terminating" };
  },
  validateStatusUpdate(namespace) {
    const phase = namespace.status?.phase ?? "";
    const field = "status.Phase";
    if (namespace.metadata.deletionTimestamp === undefined) {
      return phase === "Active"
        ? []
        : [fieldErrors.invalid(field, phase, "may only be 'Active' if `deletionTimestamp` is empty")];
    }
    return phase === "Terminating"
      ? []
      : [fieldErrors.invalid(field, phase, "may only be 'Terminating' if `deletionTimestamp` is not empty")];
  },
});

/** `namespaces/finalize`: the only way to `spec.finalizers`. A deleted namespace goes when none is left. */
export const finalizeSubresource: Omit<Subresource, "kind" | "schema" | "verbs"> = {
  name: "finalize",
  view: {
    read: (parent) => copyJson(parent),
    write(parent, view) {
      const { finalizers } = typed<Namespace>(view).spec ?? {};
      const spec: Draft = { ...(parent["spec"] as Draft | undefined) };
      if (finalizers === undefined || finalizers.length === 0) delete spec["finalizers"];
      else spec["finalizers"] = [...finalizers];
      parent["spec"] = spec;
      const { metadata } = view;
      if (metadata !== undefined) parent["metadata"] = metadata;
    },
    defaults: (view) => nameLabel(typed<Namespace>(view)),
    validate: (object) =>
      (typed<Namespace>(object).spec?.finalizers ?? []).flatMap((finalizer, index) =>
        finalizerErrors(`spec.finalizers[${index}]`, finalizer),
      ),
  },
};
