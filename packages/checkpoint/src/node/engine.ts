import { stat } from "node:fs/promises";
import { connect } from "node:net";
import { createFileRegistry, fromJson, toJson, type DescMethodUnary, type JsonObject } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { createGrpcTransport, Http2SessionManager } from "@connectrpc/connect-node";
import { orGone } from "./proc.ts";

/** Where containerd, CRI-O and k3s serve the CRI unless told otherwise. */
export const engineSockets: readonly string[] = [
  "/run/containerd/containerd.sock",
  "/run/crio/crio.sock",
  "/run/k3s/containerd/containerd.sock",
];

const answerMs = 5_000;

/** A node's container engine, by its own word; undefined where it does not answer. */
export interface Engine {
  /** Whether it has an image of that very name. */
  hasImage(name: string, signal?: AbortSignal): Promise<boolean | undefined>;
  /** containerd's `enable_experimental_restore_via_create`; undefined for engines without such a switch. */
  restoreSwitch(signal?: AbortSignal): Promise<boolean | undefined>;
}

const field = (number: number, name: string, type: JsonObject, label = "LABEL_OPTIONAL"): JsonObject => ({
  number,
  name,
  jsonName: name,
  label,
  ...type,
});
const text = { type: "TYPE_STRING" };
const message = (name: string) => ({ type: "TYPE_MESSAGE", typeName: `.runtime.v1.${name}` });
const method = (name: string) => ({
  name,
  inputType: `.runtime.v1.${name}Request`,
  outputType: `.runtime.v1.${name}Response`,
});

/** What is asked of the CRI, and no more of it (k8s.io/cri-api, pkg/apis/runtime/v1/api.proto). */
const criFile: JsonObject = {
  name: "runtime/v1/api.proto",
  package: "runtime.v1",
  syntax: "proto3",
  messageType: [
    { name: "ImageSpec", field: [field(1, "image", text)] },
    { name: "ImageStatusRequest", field: [field(1, "image", message("ImageSpec"))] },
    { name: "Image", field: [field(1, "id", text)] },
    { name: "ImageStatusResponse", field: [field(1, "image", message("Image"))] },
    { name: "StatusRequest", field: [field(1, "verbose", { type: "TYPE_BOOL" })] },
    {
      name: "StatusResponse",
      field: [field(2, "info", message("StatusResponse.InfoEntry"), "LABEL_REPEATED")],
      nestedType: [
        { name: "InfoEntry", field: [field(1, "key", text), field(2, "value", text)], options: { mapEntry: true } },
      ],
    },
  ],
  service: [
    { name: "ImageService", method: [method("ImageStatus")] },
    { name: "RuntimeService", method: [method("Status")] },
  ],
};

/** @param sockets the first that is there is asked, anew each time: engines come and go */
export function openEngine(sockets: readonly string[] = engineSockets): Engine {
  const cri = createFileRegistry(fromJson(FileDescriptorProtoSchema, criFile), () => undefined);
  const ask = async (service: string, name: string, request: JsonObject, signal?: AbortSignal): Promise<unknown> => {
    const there = await Promise.all(sockets.map((socket) => orGone(stat(socket))));
    const path = sockets.find((_, index) => there[index]?.isSocket());
    const asked = cri.getService(`runtime.v1.${service}`)?.methods.find((each) => each.name === name);
    if (path === undefined || asked === undefined) return undefined;
    const baseUrl = "http://localhost";
    const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => connect(path) });
    const transport = createGrpcTransport({ baseUrl, sessionManager });
    try {
      const input = fromJson(asked.input, request);
      const answer = await transport.unary(asked as DescMethodUnary, signal, answerMs, undefined, input);
      return toJson(asked.output, answer.message);
    } catch {
      signal?.throwIfAborted();
      return undefined;
    } finally {
      sessionManager.abort();
    }
  };
  return {
    async hasImage(name, signal) {
      const answer = await ask("ImageService", "ImageStatus", { image: { image: name } }, signal);
      return answer === undefined ? undefined : (answer as { readonly image?: object }).image !== undefined;
    },
    async restoreSwitch(signal) {
      const answer = await ask("RuntimeService", "Status", { verbose: true }, signal);
      const config = (answer as { readonly info?: { readonly config?: string } } | undefined)?.info?.config;
      try {
        const settings = JSON.parse(config ?? "{}") as { readonly enableExperimentalRestoreViaCreate?: unknown } | null;
        const value = settings?.enableExperimentalRestoreViaCreate;
        return typeof value === "boolean" ? value : undefined;
      } catch {
        return undefined;
      }
    },
  };
}
