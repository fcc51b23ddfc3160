import { describe, expect, it } from "vitest";
import { plainName } from "./member-name.ts";
import { readMetadata } from "./metadata.ts";

const config = JSON.stringify({
  id: "69",
  name: "k8s_web_a-b_c_uid_0",
  rootfsImage: "docker.io/library/nginx:1",
  rootfsImageRef: "docker.io/library/nginx@sha256:16",
  runtime: "runc",
  createdTime: "2026-01-27T14:45:26Z",
  checkpointedTime: "0001-01-01T00:00:00Z",
});
const spec = (annotations: object, more: object = {}): string => JSON.stringify({ annotations, ...more });

describe("what engines write", () => {
  it("knows containerd's checkpoints", () => {
    const annotations = {
      "io.kubernetes.cri.container-name": "web",
      "io.kubernetes.cri.sandbox-name": "a-b",
      "io.kubernetes.cri.sandbox-namespace": "c",
      "io.kubernetes.cri.sandbox-uid": "u1",
    };
    const status = JSON.stringify({ annotations: { "io.kubernetes.container.restartCount": "3" } });
    expect(readMetadata({ "config.dump": config, "spec.dump": spec(annotations), "status.dump": status })).toEqual({
      engine: "containerd",
      container: "web",
      pod: "a-b",
      namespace: "c",
      podUid: "u1",
      id: "69",
      runtime: "runc",
      image: "docker.io/library/nginx:1",
      imageRef: "docker.io/library/nginx@sha256:16",
      createdAt: "2026-01-27T14:45:26Z",
      restarts: 3,
      mounts: [],
      addresses: [],
    });
  });

  it("knows CRI-O's checkpoints by the annotations within the annotations", () => {
    const annotations = {
      "io.container.manager": "cri-o",
      "io.kubernetes.cri-o.Metadata": '{"name":"web","attempt":1}',
      "io.kubernetes.cri-o.Labels": '{"io.kubernetes.pod.uid":"u2"}',
      "io.kubernetes.pod.name": "p",
      "io.kubernetes.pod.namespace": "n",
    };
    expect(readMetadata({ "config.dump": config, "spec.dump": spec(annotations) })).toMatchObject({
      engine: "cri-o",
      container: "web",
      pod: "p",
      namespace: "n",
      podUid: "u2",
    });
  });

  it("knows podman's checkpoints and their addresses", () => {
    const network = JSON.stringify({
      podman: {
        interfaces: { eth0: { subnets: [{ ipnet: "10.88.0.9/16", gateway: "10.88.0.1" }], mac_address: "f2:99" } },
      },
    });
    const documents = {
      "config.dump": config,
      "spec.dump": spec({ "io.container.manager": "libpod" }),
      "network.status": network,
    };
    expect(readMetadata(documents)).toMatchObject({
      engine: "podman",
      container: "k8s_web_a-b_c_uid_0",
      addresses: [{ interface: "eth0", address: "10.88.0.9/16", mac: "f2:99" }],
    });
  });

  it("lists the mounts that whoever restores must bring", () => {
    const mounts = [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/var/run/secrets/kubernetes.io/serviceaccount", type: "bind", source: "/x" },
      { destination: "/data", type: "bind", source: "/pods/y", options: ["rbind", "ro"] },
    ];
    expect(readMetadata({ "config.dump": config, "spec.dump": spec({}, { mounts }) }).mounts).toEqual([
      { destination: "/data", type: "bind", source: "/pods/y", readOnly: true },
    ]);
  });

  it("says which document is missing or broken", () => {
    expect(() => readMetadata({ "spec.dump": spec({}) })).toThrow("config.dump is missing");
    expect(() => readMetadata({ "config.dump": config })).toThrow("spec.dump is missing");
    expect(() => readMetadata({ "config.dump": "", "spec.dump": spec({}) })).toThrow(
      "config.dump: Unexpected end of JSON input",
    );
    expect(() => readMetadata({ "config.dump": "[]", "spec.dump": spec({}) })).toThrow(
      "config.dump: not a JSON object",
    );
    const annotations = { "io.container.manager": "cri-o", "io.kubernetes.cri-o.Metadata": "{" };
    expect(() => readMetadata({ "config.dump": config, "spec.dump": spec(annotations) })).toThrow("is not JSON");
  });
});

describe("names of members", () => {
  it.each([
    ["./config.dump", "config.dump"],
    ["checkpoint/", "checkpoint"],
    ["checkpoint//a.img", "checkpoint/a.img"],
    [".", ""],
    ["..a", "..a"],
  ])("%s is %s", (name, plain) => {
    expect(plainName(name)).toBe(plain);
  });

  it.each(["/etc/passwd", "../x", "a/../../x", "a/..", "a\0b"])("%j is refused", (name) => {
    expect(() => plainName(name)).toThrow("do not trust this archive");
  });
  it("reads podman's archive of a container without a network, whose network.status is null", () => {
    const spec = JSON.stringify({ annotations: { "io.container.manager": "libpod" } });
    const documents = {
      "config.dump": JSON.stringify({ name: "counter" }),
      "spec.dump": spec,
      "network.status": "null",
    };
    expect(readMetadata(documents)).toMatchObject({ engine: "podman", container: "counter", addresses: [] });
  });
});
