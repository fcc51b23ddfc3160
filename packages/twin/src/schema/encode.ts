import type { Draft } from "../machinery/draft.ts";

/** An object's bytes: `kind` and `apiVersion` come first, then metadata, so that a list can leave the first two out by cutting. */
export function encodeObject(object: Readonly<Draft>): Buffer {
  const text = JSON.stringify(inOrder(object));
  // Of its own memory: the store keeps it, and would copy what lies in Node's pool.
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  bytes.write(text);
  return bytes;
}

function inOrder(object: Readonly<Draft>): Readonly<Draft> {
  const [first, second, third] = Object.keys(object);
  if (first === "kind" && second === "apiVersion" && third === "metadata") return object;
  const { kind, apiVersion, metadata, ...rest } = object;
  return { kind, apiVersion, metadata, ...rest };
}
