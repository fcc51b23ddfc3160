import { spawn, type ChildProcess } from "node:child_process";
import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { startTcpBalancer, type ControlPlane, type TcpBalancer } from "@fleetwright/lab";

/** Manager replicas as processes of their own, behind one TCP balancer whose address the API server calls. */
export interface Replicas {
  readonly processes: readonly ChildProcess[];
  readonly balancer: TcpBalancer;
  /** `kill -9`: nothing of it is cleaned up. */
  kill(index: number): void;
  stop(): Promise<void>;
}

export interface ReplicaOptions {
  readonly count: number;
  readonly holdLife: string;
  /** Run the bundle instead of the sources. */
  readonly program: string;
}

/** Starts replicas and resolves when each says that it is ready. */
export async function startReplicas(controlPlane: ControlPlane, options: ReplicaOptions): Promise<Replicas> {
  const balancer = await startTcpBalancer([]);
  const processes = await Promise.all(
    Array.from({ length: options.count }, async (_, index) => {
      const child = spawn(
        process.execPath,
        [
          options.program,
          "manager",
          "--kubeconfig",
          controlPlane.kubeconfigPath,
          "--webhook-address",
          "127.0.0.1:0",
          "--webhook-url",
          `https://127.0.0.1:${balancer.port}`,
          "--health-address",
          "off",
          "--quota-hold-life",
          options.holdLife,
        ],
        { stdio: ["ignore", "ignore", "pipe"] },
      );
      const log = createWriteStream(join(controlPlane.directory, `manager-${index}.log`));
      child.stderr.pipe(log);
      const port = await new Promise<number>((resolve, reject) => {
        const lines = createInterface({ input: child.stderr });
        lines.on("line", (line) => {
          const entry = line.startsWith("{") ? (JSON.parse(line) as { msg?: string; webhookPort?: number }) : {};
          if (entry.msg === "manager ready" && entry.webhookPort) resolve(entry.webhookPort);
        });
        child.once("exit", (code, signal) =>
          reject(new Error(`manager ${index} ended (${code ?? signal}); its log is ${log.path.toString()}`)),
        );
      });
      balancer.add({ port });
      return child;
    }),
  );
  return {
    processes,
    balancer,
    kill(index) {
      processes[index]?.kill("SIGKILL");
    },
    async stop() {
      await Promise.all(
        processes.map(async (child) => {
          if (child.exitCode !== null || child.signalCode !== null) return;
          const ended = new Promise((resolve) => {
            child.once("exit", resolve);
          });
          child.kill("SIGTERM");
          await ended;
        }),
      );
      await balancer.stop();
    },
  };
}
