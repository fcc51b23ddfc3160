import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";

type Plugins = readonly AdmissionPlugin[];
const handlingOf = new WeakMap<Plugins, Map<AdmissionAttributes["operation"], Plugins>>();

/** Those that have something to do with an operation: which they are never changes. */
function handling(plugins: Plugins, { operation }: AdmissionAttributes): Plugins {
  let byOperation = handlingOf.get(plugins);
  if (byOperation === undefined) handlingOf.set(plugins, (byOperation = new Map()));
  let found = byOperation.get(operation);
  if (found === undefined) byOperation.set(operation, (found = plugins.filter((plugin) => plugin.handles(operation))));
  return found;
}

/** The mutating half, plugin by plugin in order. Throws the first refusal. */
export async function admit(plugins: readonly AdmissionPlugin[], attributes: AdmissionAttributes): Promise<void> {
  for (const plugin of handling(plugins, attributes)) {
    const pending = plugin.admit?.(attributes);
    // Most plugins answer at once: awaiting each would cost a turn of the queue for every one.
    if (pending !== undefined) await pending;
  }
}

/** The validating half; returns those that want to hear how the write went. */
export async function validate(
  plugins: readonly AdmissionPlugin[],
  attributes: AdmissionAttributes,
): Promise<readonly AdmissionPlugin[]> {
  const settling: AdmissionPlugin[] = [];
  try {
    for (const plugin of handling(plugins, attributes)) {
      if (plugin.validate !== undefined) {
        const pending = plugin.validate(attributes);
        if (pending !== undefined) await pending;
      }
      if (plugin.settle !== undefined) settling.push(plugin);
    }
  } catch (error) {
    await settle(settling, attributes, false);
    throw error;
  }
  return settling;
}

/** Tells the plugins that reserved something whether the write took place. */
export async function settle(
  plugins: readonly AdmissionPlugin[],
  attributes: AdmissionAttributes,
  stored: boolean,
): Promise<void> {
  for (const plugin of plugins) await plugin.settle?.(attributes, stored);
}
