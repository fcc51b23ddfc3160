import { describe, expect, it } from "vitest";
import { proxyFromEnvironment } from "./proxy.ts";

describe("the proxy for a server", () => {
  const proxy = "http://proxy:3128";
  it.each([
    ["https by HTTPS_PROXY", "https://k8s.example:6443", { HTTPS_PROXY: proxy }, proxy],
    ["https by https_proxy", "https://k8s.example", { https_proxy: proxy }, proxy],
    ["https not by HTTP_PROXY", "https://k8s.example", { HTTP_PROXY: proxy }, undefined],
    ["http by HTTP_PROXY", "http://k8s.example", { HTTP_PROXY: proxy }, proxy],
    ["a proxy without scheme", "https://k8s.example", { HTTPS_PROXY: "proxy:3128" }, proxy],
    ["loopback never", "https://127.0.0.1:6443", { HTTPS_PROXY: proxy }, undefined],
    ["localhost never", "https://localhost:6443", { HTTPS_PROXY: proxy }, undefined],
    ["IPv6 loopback never", "https://[::1]:6443", { HTTPS_PROXY: proxy }, undefined],
  ])("%s", (_name, server, env, expected) => {
    expect(proxyFromEnvironment(new URL(server), env)).toBe(expected);
  });

  it.each([
    ["*", "k8s.example", true],
    ["example", "k8s.example", true],
    ["example", "example", true],
    ["example", "k8sexample", false],
    [".example", "k8s.example", true],
    [".example", "example", false],
    ["*.example", "k8s.example", true],
    ["a, k8s.example ,b", "k8s.example", true],
    ["k8s.example:6443", "k8s.example", true],
    ["k8s.example:443", "k8s.example", false],
    ["10.0.0.0/8", "10.1.2.3", true],
    ["10.0.0.0/8", "11.1.2.3", false],
    ["10.0.0.0/99", "10.1.2.3", false],
    ["10.1.2.3", "10.1.2.3", true],
    ["fd00::/8", "[fd00::1]", true],
    ["fd00::1", "[fd00::1]", true],
    ["[fd00::1]:6443", "[fd00::1]", true],
    ["", "k8s.example", false],
  ])("NO_PROXY=%s excludes %s: %s", (noProxy, host, excluded) => {
    const env = { HTTPS_PROXY: proxy, NO_PROXY: noProxy };
    expect(proxyFromEnvironment(new URL(`https://${host}:6443`), env)).toBe(excluded ? undefined : proxy);
  });
});
