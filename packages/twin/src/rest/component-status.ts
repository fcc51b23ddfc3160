import { Version } from "../storage/version.ts";

/** ComponentStatuses are made when they are asked for: this server knows of its own store only (pkg/registry/core/componentstatus). */
export const componentsCollection = "componentstatuses";

const components: readonly Version[] = [
  new Version(
    { key: "etcd-0", revision: 0, index: "" },
    {
      object: {
        kind: "ComponentStatus",
        apiVersion: "v1",
        metadata: { name: "etcd-0" },
        conditions: [{ type: "Healthy", status: "True", message: "ok" }],
      },
    },
  ),
];

/** The components that a selection matches. */
export const listComponents = (matches: (version: Version) => boolean): readonly Version[] =>
  components.filter(matches);

export const componentOf = (name: string): Version | undefined => components.find(({ key }) => key === name);
