import type { AdmissionAttributes, AdmissionPlugin } from "../machinery/admission.ts";

/** The mutating half, plugin by plugin in order. Throws the first refusal. */
export async function admit(plugins: readonly AdmissionPlugin[], attributes: AdmissionAttributes): Promise<void> {
  for (const plugin of plugins) {
    if (plugin.admit === undefined || !plugin.handles(attributes.operation)) continue;
    const pending = plugin.admit(attributes);
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
    for (const plugin of plugins) {
      if (!plugin.handles(attributes.operation)) continue;
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
