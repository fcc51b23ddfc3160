import { request } from "node:https";
import { Agent } from "node:https";
import { ApiError, FleetwrightError } from "@fleetwright/kube";
import type { Client, Informer, KeyPair, Node } from "@fleetwright/kube";
import { internalAddress } from "./agents.ts";

/** A container whose checkpoint is asked for. */
interface TakingRequest {
  readonly nodeName: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly timeoutSeconds: number;
}

/** A kubelet's answer that is no archive. */
export class KubeletRefusal extends FleetwrightError {
  readonly status: number;
  readonly body: string;
  /** Whether the API server's proxy gave it, on its own or the kubelet's behalf. */
  readonly through: "kubelet" | "api-server";
  constructor(through: "kubelet" | "api-server", status: number, body: string) {
    super("FW_CHECKPOINT_KUBELET", `the kubelet answered ${status}: ${body.trim().slice(0, 1000)}`);
    this.through = through;
    this.status = status;
    this.body = body;
  }
}

/** Takes checkpoints. Rejects with `KubeletRefusal`, or another error when no answer came: the kubelet may go on then. */
export interface Taker {
  /** The archive's path on the node. */
  take(asked: TakingRequest, signal: AbortSignal): Promise<string>;
}

const pathOf = ({ namespace, pod, container, timeoutSeconds }: TakingRequest): string =>
  `/checkpoint/${[namespace, pod, container].map(encodeURIComponent).join("/")}?timeout=${timeoutSeconds}`;

function archiveOf(text: string): string {
  try {
    const [path] = (JSON.parse(text) as { readonly items?: readonly unknown[] }).items ?? [];
    if (typeof path === "string") return path;
  } catch {
    // Told below.
  }
  throw new KubeletRefusal("kubelet", 200, text);
}

/**
 * Asks kubelets themselves (`POST https://<node>:10250/checkpoint/…`), with a certificate that may `create nodes/checkpoint`.
 *
 * @see kubernetes/kubernetes pkg/kubelet/server/server.go, `checkpoint`
 */
export function directTaker(options: {
  readonly nodes: Informer<Node>;
  readonly identity: () => { readonly pair: KeyPair; readonly authority: string };
}): Taker {
  return {
    take(asked, signal) {
      const node = options.nodes.get({ name: asked.nodeName });
      const host = internalAddress(node);
      const port = node?.status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 10_250;
      if (host === undefined)
        return Promise.reject(
          new FleetwrightError("FW_CHECKPOINT_KUBELET", `node "${asked.nodeName}" has no InternalIP`),
        );
      const { pair, authority } = options.identity();
      return new Promise((resolve, reject) => {
        const call = request(
          {
            host,
            port,
            method: "POST",
            path: pathOf(asked),
            cert: pair.certificate,
            key: pair.key,
            ca: authority,
            agent: new Agent({ keepAlive: false }),
            signal,
          },
          (response) => {
            let text = "";
            response.setEncoding("utf8");
            response.on("data", (chunk: string) => (text += chunk));
            response.once("error", reject);
            response.once("end", () => {
              try {
                if (response.statusCode !== 200) throw new KubeletRefusal("kubelet", response.statusCode ?? 0, text);
                resolve(archiveOf(text));
              } catch (error) {
                reject(error as Error);
              }
            });
          },
        );
        call.once("error", (error) =>
          reject(
            signal.aborted
              ? (signal.reason as Error)
              : new FleetwrightError(
                  "FW_CHECKPOINT_KUBELET",
                  `kubelet of node "${asked.nodeName}" at ${host}:${port}: ${error.message}`,
                  {
                    cause: error,
                  },
                ),
          ),
        );
        call.end();
      });
    },
  };
}

/** Asks through the API server (`nodes/proxy`), whose own kubelet client must then be allowed `nodes/checkpoint`. */
export function proxyTaker(client: Client): Taker {
  return {
    async take(asked, signal) {
      const path = `/api/v1/nodes/${encodeURIComponent(asked.nodeName)}/proxy${pathOf(asked)}`;
      try {
        const answer = await client.raw("POST", path, { signal, timeoutMs: (asked.timeoutSeconds + 30) * 1000 });
        return archiveOf(typeof answer === "string" ? answer : JSON.stringify(answer));
      } catch (error) {
        if (error instanceof ApiError) throw new KubeletRefusal("api-server", error.httpStatus, error.message);
        throw error;
      }
    },
  };
}
