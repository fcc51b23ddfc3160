import type { Client } from "../client/client.ts";

/**
 * A client whose writes ask first whether this process still leads: after a long pause (SIGSTOP, a frozen VM) the very
 * next write is refused, whatever timers have not fired yet. A write that is on its way is not called back: writes
 * carry a resourceVersion or UID besides.
 *
 * @param assertLeading throws when this process does not lead: `() => manager.assertLeading()`
 */
export function fencedClient(client: Client, assertLeading: () => void): Client {
  const fence = <Arguments extends unknown[], Result>(
    write: (...parameters: Arguments) => Promise<Result>,
  ): ((...parameters: Arguments) => Promise<Result>) => {
    return async (...parameters) => {
      assertLeading();
      return write(...parameters);
    };
  };
  return {
    get: (resource, key, options) => client.get(resource, key, options),
    list: (resource, options) => client.list(resource, options),
    pages: (resource, options) => client.pages(resource, options),
    watch: (resource, options) => client.watch(resource, options),
    getScale: (resource, key, options) => client.getScale(resource, key, options),
    logs: (pod, options) => client.logs(pod, options),
    create: async (resource, object, options) => {
      assertLeading();
      return client.create(resource, object, options);
    },
    update: async (resource, object, options) => {
      assertLeading();
      return client.update(resource, object, options);
    },
    updateStatus: async (resource, object, options) => {
      assertLeading();
      return client.updateStatus(resource, object, options);
    },
    patch: async (resource, key, body, options) => {
      assertLeading();
      return client.patch(resource, key, body, options);
    },
    apply: async (resource, object, options) => {
      assertLeading();
      return client.apply(resource, object, options);
    },
    delete: fence((resource, key, options) => client.delete(resource, key, options)),
    deleteCollection: fence((resource, options) => client.deleteCollection(resource, options)),
    updateScale: fence((resource, key, scale, options) => client.updateScale(resource, key, scale, options)),
    evict: fence((pod, options) => client.evict(pod, options)),
    bind: fence((pod, nodeName, options) => client.bind(pod, nodeName, options)),
    createToken: fence((serviceAccount, options) => client.createToken(serviceAccount, options)),
    raw: async (method, path, options) => {
      if (method !== "GET") assertLeading();
      return client.raw(method, path, options);
    },
    close: () => client.close(),
  };
}
