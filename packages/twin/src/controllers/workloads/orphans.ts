import { controllerOf, keyOf, matchesLabels, selectorOf } from "@fleetwright/kube";
import type { Informer, KubeObject, LabelSelector, Source } from "@fleetwright/kube";

/** Objects without a controller concern every owner of their namespace that selects them: it may adopt them. */
export function orphanRequests<T extends KubeObject>(
  children: Informer<KubeObject>,
  owners: Informer<T>,
  selectorOfOwner: (owner: T) => LabelSelector | undefined,
): Source {
  return {
    start(enqueue) {
      const look = (child: KubeObject): void => {
        if (controllerOf(child) !== undefined || child.metadata.labels === undefined) return;
        for (const owner of owners.list(child.metadata.namespace)) {
          const selector = selectorOfOwner(owner);
          if (selector !== undefined && matchesLabels(selectorOf(selector), child.metadata.labels))
            enqueue(keyOf(owner));
        }
      };
      return children.addHandler({
        added: look,
        updated(before, after) {
          const labelsChanged = before.metadata.labels !== after.metadata.labels;
          if (labelsChanged || controllerOf(before) !== undefined) look(after);
        },
      });
    },
  };
}
