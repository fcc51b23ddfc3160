import type { GroupVersionKind, GroupVersionResource, UserInfo } from "@fleetwright/kube";
import type { Draft } from "./draft.ts";
import type { ServedKind } from "./kind.ts";
import type { RequestContext } from "./request.ts";

/** `admission.Attributes`: what a request is about to do. */
export interface AdmissionAttributes {
  readonly operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  readonly kind: GroupVersionKind;
  readonly resource: GroupVersionResource;
  readonly subresource: string;
  readonly namespace: string;
  /** May be empty on CREATE with generateName. */
  readonly name: string;
  /** Plugins that mutate change it in place; absent on DELETE. */
  object: Draft | undefined;
  readonly oldObject: Readonly<Draft> | undefined;
  /** CreateOptions, UpdateOptions, PatchOptions or DeleteOptions as sent, with `kind` and `apiVersion`. */
  readonly options: Readonly<Draft>;
  readonly user: UserInfo;
  readonly dryRun: boolean;
  /** The kind that the request's path names; the object is of this version. */
  readonly served: ServedKind;
  readonly context: RequestContext;
}

/** One plugin of the chain. A refusal is a thrown StatusError. */
export interface AdmissionPlugin {
  /** As `--enable-admission-plugins` names it. */
  readonly name: string;
  handles(operation: AdmissionAttributes["operation"]): boolean;
  admit?(attributes: AdmissionAttributes): Promise<void> | void;
  validate?(attributes: AdmissionAttributes): Promise<void> | void;
  /** After the write, or after it failed: gives back what was reserved (ResourceQuota). */
  settle?(attributes: AdmissionAttributes, stored: boolean): Promise<void> | void;
}
