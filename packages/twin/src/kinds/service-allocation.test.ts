import { seededRandom, type Resource, type Service, type ServiceCIDR } from "@fleetwright/kube";
import { beforeEach, describe, expect, it } from "vitest";
import type { Mutable } from "../machinery/draft.ts";
import type { RequestContext, ServerAccess } from "../machinery/request.ts";
import { StatusError } from "../machinery/status-error.ts";
import { allocate } from "./service-allocation.ts";

let services: Map<string, Service>;
let cidrs: ServiceCIDR[];
let server: ServerAccess;

beforeEach(() => {
  services = new Map();
  cidrs = [];
  const objects = {
    get: (_: Resource, { name }: { readonly name: string }) => services.get(name),
    list: ({ plural }: Resource) => (plural === "services" ? [...services.values()] : cidrs),
  };
  server = { objects, random: seededRandom(7) } as unknown as ServerAccess;
});

const context = (dryRun = false) => ({ dryRun }) as RequestContext;

function store(name: string, spec: Mutable<NonNullable<Service["spec"]>>, old?: Service): Service {
  const service: Mutable<Service> = { metadata: { name, namespace: "default" }, spec: { type: "ClusterIP", ...spec } };
  allocate(service, old, server, context());
  services.set(name, service);
  return service;
}

const refusal = (run: () => unknown): string => {
  try {
    run();
    return "";
  } catch (error) {
    if (error instanceof StatusError) return error.message;
    throw error;
  }
};

describe("addresses of Services", () => {
  it("are all different, and run out when the range is full", () => {
    cidrs = [{ metadata: { name: "kubernetes" }, spec: { cidrs: ["10.3.0.0/28"] } }];
    const given = Array.from({ length: 14 }, (_, index) => store(`s${index}`, {}).spec?.clusterIP ?? "");
    expect(new Set(given).size).toBe(14);
    expect(given.every((ip) => /^10\.3\.0\.([1-9]|1[0-4])$/.test(ip))).toBe(true);
    expect(refusal(() => store("last", {}))).toContain("range is full");
  });

  it("come back when their Service is gone", () => {
    const { spec } = store("a", { clusterIP: "10.0.0.9", clusterIPs: ["10.0.0.9"] });
    const again = () => store("b", { clusterIP: "10.0.0.9", clusterIPs: ["10.0.0.9"] });
    expect(spec?.ipFamilies).toEqual(["IPv4"]);
    expect(refusal(again)).toContain("provided IP is already allocated");
    services.delete("a");
    expect(again().spec?.clusterIP).toBe("10.0.0.9");
  });

  it("are of both families where the cluster has both", () => {
    cidrs = [{ metadata: { name: "kubernetes" }, spec: { cidrs: ["10.3.0.0/24", "fd00:3::/112"] } }];
    const { spec } = store("a", { ipFamilyPolicy: "PreferDualStack" });
    expect(spec?.ipFamilies).toEqual(["IPv4", "IPv6"]);
    expect(spec?.clusterIPs).toEqual([expect.stringMatching(/^10\.3\.0\./), expect.stringMatching(/^fd00:3::/)]);
  });

  it("stay when a Service is updated", () => {
    const old = store("a", {});
    const now = store("a", { ...structuredClone(old.spec) } as Mutable<NonNullable<Service["spec"]>>, old);
    expect(now.spec?.clusterIPs).toEqual(old.spec?.clusterIPs);
  });

  it("are not reserved by dry runs", () => {
    const tried: Mutable<Service> = {
      metadata: { name: "tried", namespace: "default" },
      spec: {
        type: "NodePort",
        clusterIP: "10.0.0.9",
        clusterIPs: ["10.0.0.9"],
        ports: [{ port: 1, nodePort: 30_009 }],
      },
    };
    allocate(tried, undefined, server, context(true));
    services.set("tried", tried);
    const { spec } = store("a", { clusterIP: "10.0.0.9", clusterIPs: ["10.0.0.9"] });
    expect(spec?.clusterIP).toBe("10.0.0.9");
  });
});

describe("node ports", () => {
  it("are different for every port, and one for TCP and UDP of the same", () => {
    const { spec } = store("a", {
      type: "NodePort",
      ports: [
        { name: "dns", port: 53 },
        { name: "dns-udp", port: 53, protocol: "UDP" },
        { name: "web", port: 80 },
      ],
    });
    const [dns, udp, web] = (spec?.ports ?? []).map(({ nodePort }) => nodePort);
    expect(dns).toBe(udp);
    expect(web).not.toBe(dns);
  });

  it("are refused while another Service has them", () => {
    store("a", { type: "NodePort", ports: [{ port: 80, nodePort: 30_007 }] });
    const same = () => store("b", { type: "NodePort", ports: [{ port: 80, nodePort: 30_007 }] });
    expect(refusal(same)).toContain("spec.ports[0].nodePort: Invalid value: 30007: provided port is already allocated");
    services.set("a", { metadata: { name: "a", namespace: "default" }, spec: { type: "ClusterIP" } });
    expect(same().spec?.ports?.[0]?.nodePort).toBe(30_007);
  });

  it("a load balancer that keeps local traffic gets one for its health", () => {
    const { spec } = store("a", { type: "LoadBalancer", externalTrafficPolicy: "Local", ports: [{ port: 80 }] });
    expect(spec?.healthCheckNodePort).toBeGreaterThanOrEqual(30_000);
    expect(spec?.healthCheckNodePort).not.toBe(spec?.ports?.[0]?.nodePort);
  });
});
