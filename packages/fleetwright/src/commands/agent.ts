import { appendFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import {
  artifactRoutes,
  engineSockets,
  evidenceRoutes,
  openEngine,
  openEvidence,
  openStore,
  readPrivateKey,
  readHostFacts,
  readNodeFacts,
  startAgentService,
  startImageServer,
  type AgentService,
  type AuditEntry,
} from "@fleetwright/checkpoint";
import { createCertificateFiles, type KeyPair } from "@fleetwright/kube";
import { parseAddress } from "../address.ts";
import { bytes, defineCommand, integer, text } from "../command.ts";
import { readRegistryOptions, registryOptions } from "../registry-options.ts";
import { readText } from "./checkpoint-file.ts";
import { readIdentities } from "./checkpoint-remote.ts";

/** `fleetwright agent`: see docs/checkpoints.md. */
export const agentCommand = defineCommand({
  name: "agent",
  summary: "Look after the checkpoints of the node that this runs on",
  details:
    "Describes the archives that the kubelet leaves, serves them as images to the node's own engine on loopback, and serves the manager by mutual TLS. It never calls the API server.",
  options: {
    store: text("--checkpoints <folder>", "where the kubelet puts checkpoints", "/var/lib/kubelet/checkpoints"),
    limit: bytes(
      "--store-limit <quantity>",
      "bytes that all archives may take together, such as 200Gi: none is taken or received beyond (default: what the disk has)",
    ),
    engineSocket: text(
      "--engine-socket <path>",
      `where the engine serves the CRI, to be asked for its settings and images (default: the first that is there of ${engineSockets.join(", ")})`,
    ),
    imagePort: integer("--image-port <port>", "port of the images on 127.0.0.1; 0 takes a free one", 5780, 0, 65_535),
    address: text("--address <address>", "where the manager is served; port 0 takes a free one", "0.0.0.0:5781"),
    certDir: text(
      "--cert-dir <folder>",
      "folder with tls.crt and tls.key for the node's name, and ca.crt, which clients' certificates are of; read again when they change (default: the manager is not served)",
    ),
    ...registryOptions,
    ageIdentity: text(
      "--age-identity <file>",
      "file of age identities (AGE-SECRET-KEY-1…) that encrypted artifacts are opened with",
    ),
    evidenceKey: text(
      "--evidence-key <file>",
      "private key, PEM, ECDSA P-256 or Ed25519, that a chain of all archives and deletions is signed with (default: none is kept); its password is in COSIGN_PASSWORD",
    ),
    auditLog: text("--audit-log <file>", "file that every call is appended to as a line of JSON (default: the log)"),
    logLevel: { ...text("--log-level <level>", "what is logged", "info"), choices: ["debug", "info", "warn", "error"] },
  },
  async run(context, options) {
    const logger = context.createLogger(options.logLevel);
    const { clock, signal } = context;
    const evidence =
      options.evidenceKey === ""
        ? undefined
        : await openEvidence(join(options.store, ".fleetwright", "evidence"), {
            key: await readPrivateKey(await readText(options.evidenceKey), {
              place: options.evidenceKey,
              password: context.env["COSIGN_PASSWORD"],
              purpose: "evidence",
            }),
            clock,
          });
    const store = await openStore(options.store, {
      host: readHostFacts,
      clock,
      witness: evidence,
      limitBytes: options.limit,
    });
    // Whatever fails below: what listens keeps no process alive.
    await using open = new AsyncDisposableStack();
    const images = await startImageServer({ store, port: options.imagePort, logger });
    open.defer(() => images.close());
    const audit = (entry: AuditEntry): void => {
      if (options.auditLog === "") logger.info({ audit: entry }, "call");
      else
        appendFile(options.auditLog, `${JSON.stringify(entry)}\n`, { mode: 0o600 }).catch((error: unknown) => {
          logger.error({ error, audit: entry }, "the audit log cannot be written");
        });
    };
    let service: AgentService | undefined;
    let served: Promise<void> = Promise.resolve();
    if (options.certDir !== "") {
      let pair: KeyPair | undefined;
      let authority = "";
      const use = (): void => {
        if (pair && authority !== "") service?.setCertificate(pair, authority);
      };
      const files = createCertificateFiles({
        directory: options.certDir,
        clock,
        logger,
        onCertificate(next) {
          pair = next;
          use();
        },
        onBundle(bundle) {
          authority = bundle;
          use();
          return Promise.resolve();
        },
      });
      await files.sync(signal);
      const { host: address, port } = parseAddress(options.address, "--address");
      const engine = openEngine(options.engineSocket === "" ? engineSockets : [options.engineSocket]);
      const node = async () => ({ ...(await readNodeFacts(engine)), ...(await store.disk()), imagePort: images.port });
      if (pair === undefined) throw new Error(`${hostname()}: no certificate in ${options.certDir}`);
      const routes = [
        ...evidenceRoutes(evidence),
        ...artifactRoutes({
          store,
          engine,
          ...(await readRegistryOptions(options)),
          ...(options.ageIdentity !== "" && { identities: () => readIdentities(options.ageIdentity) }),
        }),
      ];
      service = await startAgentService(
        { routes, store, node, clock, logger, audit, host: address, port },
        pair,
        authority,
      );
      open.adopt(service, (each) => each.close());
      served = files.run(signal);
    }
    const { checkpoints, unreadable } = await store.list();
    for (const { file, problem } of unreadable) logger.warn({ file, problem }, "not a checkpoint");
    context.stdout(
      `ready: ${checkpoints.length} checkpoints in ${store.directory}, images on localhost:${images.port}${service ? `, service on port ${service.port}` : ""}\n`,
    );
    if (!signal.aborted)
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    await served;
  },
});
