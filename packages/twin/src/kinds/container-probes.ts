import type { Container, Probe } from "@fleetwright/kube";
import { fieldErrors, type FieldError } from "../machinery/status-error.ts";
import { nonNegativeErrors, portErrors, portOrNameErrors } from "./value-checks.ts";

type Lifecycle = NonNullable<Container["lifecycle"]>;
type Hook = NonNullable<Lifecycle["preStop"]>;
type Handler = Partial<Pick<Probe, "exec" | "httpGet" | "tcpSocket" | "grpc">> & Pick<Hook, "sleep">;

function httpGetErrors(action: NonNullable<Handler["httpGet"]>, field: string): FieldError[] {
  const errors: FieldError[] = action.path ? [] : [fieldErrors.required(`${field}.path`)];
  errors.push(...portOrNameErrors(`${field}.port`, action.port ?? 0));
  const scheme = action.scheme ?? "";
  if (scheme !== "HTTP" && scheme !== "HTTPS") {
    errors.push(fieldErrors.notSupported(`${field}.scheme`, scheme, ["HTTP", "HTTPS"]));
  }
  for (const { name = "" } of action.httpHeaders ?? []) {
    if (/^[-A-Za-z0-9]+$/.test(name)) continue;
    errors.push(
      fieldErrors.invalid(
        `${field}.httpHeaders`,
        name,
        "a valid HTTP header must consist of alphanumeric characters or '-' (e.g. 'X-Header-Name', regex used for validation is '[-A-Za-z0-9]+')",
      ),
    );
  }
  return errors;
}

function actionErrors(
  handler: Handler,
  name: keyof Handler,
  field: string,
  graceSeconds: number | undefined,
): FieldError[] {
  const { exec, httpGet, tcpSocket, grpc, sleep } = handler;
  if (name === "exec" && (exec?.command ?? []).length === 0) return [fieldErrors.required(`${field}.command`)];
  if (name === "httpGet" && httpGet) return httpGetErrors(httpGet, field);
  if (name === "tcpSocket" && tcpSocket) return portOrNameErrors(`${field}.port`, tcpSocket.port ?? 0);
  if (name === "grpc" && grpc) return portErrors(`${field}.port`, grpc.port ?? 0);
  if (name === "sleep" && sleep && graceSeconds !== undefined) {
    const seconds = sleep.seconds ?? 0;
    if (seconds < 0 || seconds > graceSeconds) {
      return [
        fieldErrors.invalid(
          field,
          seconds,
          `must be non-negative and less than terminationGracePeriodSeconds (${graceSeconds})`,
        ),
      ];
    }
  }
  return [];
}

/** `validateHandler`: one way to act, and a valid one. */
function handlerErrors(handler: Handler, field: string, graceSeconds: number | undefined): FieldError[] {
  const given = (["exec", "httpGet", "tcpSocket", "grpc", "sleep"] as const).filter(
    (name) => handler[name] !== undefined,
  );
  if (given.length === 0) return [fieldErrors.required(field, "must specify a handler type")];
  return given.flatMap((name, index) =>
    index === 0
      ? actionErrors(handler, name, `${field}.${name}`, graceSeconds)
      : [fieldErrors.forbidden(`${field}.${name}`, "may not specify more than 1 handler type")],
  );
}

function probeErrors(probe: Probe, field: string, graceSeconds: number | undefined): FieldError[] {
  const { exec, httpGet, tcpSocket, grpc } = probe;
  const errors = handlerErrors(
    {
      ...(exec === undefined ? {} : { exec }),
      ...(httpGet === undefined ? {} : { httpGet }),
      ...(tcpSocket === undefined ? {} : { tcpSocket }),
      ...(grpc === undefined ? {} : { grpc }),
    },
    field,
    graceSeconds,
  );
  for (const name of [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ] as const) {
    errors.push(...nonNegativeErrors(`${field}.${name}`, probe[name] ?? 0));
  }
  const grace = probe.terminationGracePeriodSeconds;
  if (grace !== undefined && grace <= 0) {
    errors.push(fieldErrors.invalid(`${field}.terminationGracePeriodSeconds`, grace, "must be greater than 0"));
  }
  return errors;
}

/** The three probes and the lifecycle of a container that keeps running. */
export function lifecycleErrors(container: Container, field: string, graceSeconds: number | undefined): FieldError[] {
  const errors: FieldError[] = [];
  for (const hook of ["postStart", "preStop"] as const) {
    const handler = container.lifecycle?.[hook];
    if (handler) errors.push(...handlerErrors(handler, `${field}.lifecycle.${hook}`, graceSeconds));
  }
  for (const name of ["livenessProbe", "readinessProbe", "startupProbe"] as const) {
    const probe = container[name];
    if (!probe) continue;
    const at = `${field}.${name}`;
    errors.push(...probeErrors(probe, at, graceSeconds));
    if (name !== "readinessProbe" && probe.successThreshold !== 1) {
      errors.push(fieldErrors.invalid(`${at}.successThreshold`, probe.successThreshold ?? 0, "must be 1"));
    }
    if (name === "readinessProbe" && probe.terminationGracePeriodSeconds !== undefined) {
      errors.push(
        fieldErrors.invalid(
          `${at}.terminationGracePeriodSeconds`,
          probe.terminationGracePeriodSeconds,
          "must not be set for readinessProbes",
        ),
      );
    }
  }
  return errors;
}
