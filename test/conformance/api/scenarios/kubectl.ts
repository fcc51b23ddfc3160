import { area } from "../scenario.ts";
import type { Session } from "../scenario.ts";
import { configMap, deployment, pod, types } from "./requests.ts";

const path = ({ namespace }: Session, plural: string, root = "/api/v1"): string =>
  `${root}/namespaces/${namespace}/${plural}`;
const text = (object: object): string => JSON.stringify(object);

export const kubectlScenarios = area("kubectl", {
  "create, get, delete": async (session) => {
    await session.kubectl(["create", "configmap", "a", "--from-literal=x=1"]);
    await session.kubectl(["get", "configmap", "a"]);
    await session.kubectl(["get", "cm", "a", "-o", "name"]);
    await session.kubectl(["get", "cm/a", "-o", "jsonpath={.data.x}"]);
    await session.kubectl(["create", "configmap", "a"]);
    await session.kubectl(["delete", "cm", "a"]);
    await session.kubectl(["delete", "cm", "a"]);
    await session.kubectl(["get", "cm", "a"]);
    await session.kubectl(["get", "nothings"]);
  },
  "create from a manifest": async (session) => {
    await session.kubectl(["create", "-f", "-"], text(deployment("d")));
    await session.kubectl(["create", "-f", "-"], text(deployment("d")));
    await session.kubectl(["create", "-f", "-"], text({ ...deployment("e"), spec: { replicas: 1, unknown: 2 } }));
    await session.kubectl(["get", "deployments", "-o", "wide"]);
  },
  "apply on the client's side": async (session) => {
    await session.kubectl(["apply", "-f", "-"], text(configMap("a", { x: "1", y: "2" })));
    await session.kubectl(["apply", "-f", "-"], text(configMap("a", { x: "1", y: "2" })));
    await session.kubectl(["apply", "-f", "-"], text(configMap("a", { x: "3" })));
    await session.kubectl(["get", "cm", "a", "-o", "jsonpath={.data}"]);
    await session.kubectl(["apply", "-f", "-", "--dry-run=server"], text(configMap("a", { x: "4" })));
  },
  "apply on the server's side": async (session) => {
    await session.kubectl(["apply", "--server-side", "-f", "-"], text(configMap("a", { x: "1" })));
    await session.kubectl(
      ["apply", "--server-side", "--field-manager=other", "-f", "-"],
      text(configMap("a", { x: "2" })),
    );
    await session.kubectl(
      ["apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", "-"],
      text(configMap("a", { x: "2" })),
    );
  },
  "apply from the client's to the server's side": async (session) => {
    await session.kubectl(["apply", "-f", "-"], text(configMap("a", { x: "1" })));
    await session.kubectl(["apply", "--server-side", "-f", "-"], text(configMap("a", { x: "2" })));
    await session.kubectl(["get", "cm", "a", "-o", "yaml", "--show-managed-fields=false"]);
  },
  "patch in three ways": async (session) => {
    await session.given("POST", path(session, "deployments", "/apis/apps/v1"), deployment("d"));
    await session.kubectl(["patch", "deployment", "d", "-p", '{"spec":{"replicas":2}}']);
    await session.kubectl([
      "patch",
      "deployment",
      "d",
      "--type=json",
      "-p",
      '[{"op":"replace","path":"/spec/replicas","value":3}]',
    ]);
    await session.kubectl(["patch", "deployment", "d", "--type=merge", "-p", '{"spec":{"replicas":3}}']);
    await session.kubectl([
      "patch",
      "deployment",
      "d",
      "--subresource=status",
      "--type=merge",
      "-p",
      '{"status":{"replicas":1}}',
    ]);
    await session.kubectl(["patch", "deployment", "d", "-p", '{"spec":{"replicas":"x"}}']);
  },
  diff: async (session) => {
    await session.given("POST", path(session, "configmaps"), configMap("a", { x: "1" }));
    await session.kubectl(["diff", "-f", "-"], text(configMap("a", { x: "1" })));
  },
  explain: async (session) => {
    await session.kubectl(["explain", "configmap"]);
    await session.kubectl(["explain", "pod.spec.containers.livenessProbe"]);
    await session.kubectl(["explain", "deployment.spec.nothing"]);
  },
  "api-resources and api-versions": async (session) => {
    await session.kubectl(["api-resources", "--api-group=apps"]);
    await session.kubectl(["api-resources", "--api-group=batch", "-o", "wide"]);
    await session.kubectl(["api-resources", "--api-group=", "--namespaced=true", "-o", "name"]);
    await session.kubectl(["version", "-o", "json"]);
  },
  "get in its forms": async (session) => {
    await session.given("POST", path(session, "pods"), pod("p", {}, { labels: { app: "x" } }));
    for (const args of [
      ["-o", "wide"],
      ["--show-labels"],
      ["-L", "app"],
      ["-l", "app=x"],
      ["-l", "app=y"],
      ["--no-headers"],
      ["-o", "custom-columns=N:.metadata.name,I:.spec.containers[*].image"],
      ["--sort-by=.metadata.name"],
      ["--field-selector", "status.phase=Pending"],
      ["-o", "go-template={{range .items}}{{.metadata.name}}{{end}}"],
    ])
      await session.kubectl(["get", "pods", ...args]);
    await session.kubectl(["get", "pods,cm"]);
    await session.kubectl(["get", "all"]);
    await session.kubectl(["get", "--raw", `${path(session, "pods")}?limit=0&labelSelector=none`]);
  },
  "label, annotate and taint": async (session) => {
    await session.given("POST", path(session, "configmaps"), configMap("a"));
    await session.given("POST", "/api/v1/nodes", { metadata: { name: session.unique } });
    await session.kubectl(["label", "cm", "a", "x=1"]);
    await session.kubectl(["label", "cm", "a", "x=2"]);
    await session.kubectl(["label", "cm", "a", "x=2", "--overwrite"]);
    await session.kubectl(["label", "cm", "a", "x-"]);
    await session.kubectl(["annotate", "cm", "a", "note=yes"]);
    await session.kubectl(["taint", "node", session.unique, "k=v:NoSchedule"]);
    await session.kubectl(["taint", "node", session.unique, "k-"]);
    await session.kubectl(["cordon", session.unique]);
    await session.kubectl(["get", "node", session.unique]);
    await session.kubectl(["uncordon", session.unique]);
  },
  "scale, set and expose": async (session) => {
    await session.given("POST", path(session, "deployments", "/apis/apps/v1"), deployment("d"));
    await session.kubectl(["scale", "deployment", "d", "--replicas=3"]);
    await session.kubectl(["scale", "deployment", "d", "--replicas=1", "--current-replicas=2"]);
    await session.kubectl(["set", "image", "deployment/d", "main=other:2"]);
    await session.kubectl(["set", "env", "deployment/d", "A=1"]);
    await session.kubectl(["expose", "deployment", "d", "--port=80"]);
    await session.kubectl(["autoscale", "deployment", "d", "--max=5"]);
    await session.kubectl(["rollout", "pause", "deployment/d"]);
    await session.kubectl(["rollout", "restart", "deployment/d"]);
    await session.kubectl(["rollout", "history", "deployment/d"]);
  },
  "run and describe": async (session) => {
    await session.kubectl(["run", "p", "--image=example.com/app:1"]);
    await session.kubectl(["describe", "pod", "p"]);
    await session.kubectl(["run", "q", "--image=i", "--dry-run=server", "-o", "name"]);
  },
  auth: async (session) => {
    await session.kubectl(["auth", "can-i", "create", "pods"]);
    await session.kubectl(["auth", "can-i", "create", "pods", "--as=nobody"]);
    await session.kubectl(["auth", "can-i", "--list", "--as=nobody"]);
    await session.kubectl(["auth", "whoami"]);
    await session.kubectl(["get", "pods", "--as=nobody"]);
  },
  "create roles, accounts, tokens and quotas": async (session) => {
    await session.kubectl(["create", "role", "r", "--verb=get", "--resource=pods"]);
    await session.kubectl(["create", "rolebinding", "b", "--role=r", "--user=ada"]);
    await session.kubectl(["create", "serviceaccount", "s"]);
    await session.kubectl(["create", "token", "s", "--duration=10s"]);
    await session.kubectl(["create", "quota", "q", "--hard=pods=1"]);
    await session.kubectl(["create", "secret", "generic", "x", "--from-literal=a=b"]);
    await session.kubectl(["create", "job", "j", "--image=i"]);
    await session.kubectl(["create", "cronjob", "c", "--image=i", "--schedule=* * * * *"]);
    await session.kubectl(["create", "ingress", "i", "--rule=a.example/=s:80"]);
    await session.kubectl(["create", "poddisruptionbudget", "d", "--selector=a=b", "--min-available=1"]);
    await session.kubectl(["create", "priorityclass", session.unique, "--value=5"]);
    await session.kubectl(["get", "role,rolebinding,sa,quota,secret,job,cronjob,ingress,pdb"]);
  },
  wait: async (session) => {
    await session.given("POST", path(session, "pods"), pod("p"));
    await session.given(
      "PATCH",
      `${path(session, "pods")}/p/status`,
      { status: { conditions: [{ type: "Ready", status: "True" }] } },
      types.merge,
    );
    await session.kubectl(["wait", "pod/p", "--for=condition=Ready", "--timeout=5s"]);
    await session.kubectl(["wait", "pod/p", "--for=jsonpath={.status.phase}=Pending", "--timeout=5s"]);
    await session.kubectl(["wait", "pod/none", "--for=condition=Ready", "--timeout=1s"]);
  },
  "replace and delete by manifest": async (session) => {
    await session.kubectl(["create", "-f", "-"], text(configMap("a", { x: "1" })));
    await session.kubectl(["replace", "-f", "-"], text(configMap("a", { x: "2" })));
    await session.kubectl(["replace", "-f", "-"], text(configMap("none")));
    await session.kubectl(["delete", "-f", "-"], text(configMap("a")));
    await session.kubectl(["delete", "cm", "--all"]);
  },
});
