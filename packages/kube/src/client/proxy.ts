import { BlockList, isIP } from "node:net";

export type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy for a server by environment, as Go's `http.ProxyFromEnvironment` (and so kubectl) decides it:
 * `HTTPS_PROXY` or `HTTP_PROXY` by the server's scheme, unless `NO_PROXY` names the host; loopback never.
 * A kubeconfig's `proxy-url` is not subject to `NO_PROXY` and does not come here.
 *
 * @returns a URL, or `undefined` for a direct connection
 */
export function proxyFromEnvironment(server: URL, env: Environment): string | undefined {
  const names = server.protocol === "https:" ? ["HTTPS_PROXY", "https_proxy"] : ["HTTP_PROXY", "http_proxy"];
  const proxy = names.map((name) => env[name]).find((value) => value);
  if (!proxy || isLoopback(server) || isExcluded(server, env["NO_PROXY"] || env["no_proxy"] || "")) return undefined;
  return proxy.includes("://") ? proxy : `http://${proxy}`;
}

/** Whether the URL's host is this machine. */
export function isLoopback(server: URL): boolean {
  const host = bareHost(server);
  return host === "localhost" || host === "::1" || (isIP(host) === 4 && host.startsWith("127."));
}

const bareHost = (server: URL): string => server.hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();

function isExcluded(server: URL, noProxy: string): boolean {
  const host = bareHost(server);
  const port = server.port || (server.protocol === "https:" ? "443" : "80");
  return noProxy
    .split(",")
    .map((entry) => entry.trim().toLowerCase())
    .filter((entry) => entry !== "")
    .some((entry) => matches(entry, host, port));
}

/** One entry: `*`, a CIDR, an address, a domain (with its subdomains), `.domain` or `*.domain` (subdomains only); a port may follow. */
function matches(entry: string, host: string, port: string): boolean {
  if (entry === "*") return true;
  if (entry.includes("/")) return inSubnet(entry, host);
  const withPort = /^(.*?)(?::(\d+))?$/.exec(isIP(entry) === 6 ? `[${entry}]` : entry);
  const name = (withPort?.[1] ?? "").replace(/^\[(.*)\]$/, "$1");
  const onPort = withPort?.[2];
  if (onPort !== undefined && onPort !== port) return false;
  if (isIP(name) !== 0) return name === host;
  const domain = name.startsWith("*.") ? name.slice(1) : name;
  if (domain.startsWith(".")) return host.endsWith(domain);
  return host === domain || host.endsWith(`.${domain}`);
}

function inSubnet(cidr: string, host: string): boolean {
  const [address = "", bits = ""] = cidr.split("/");
  const family = isIP(address);
  if (family === 0 || isIP(host) !== family || !/^\d+$/.test(bits)) return false;
  if (Number(bits) > (family === 4 ? 32 : 128)) return false;
  const type = family === 4 ? "ipv4" : "ipv6";
  const subnet = new BlockList();
  subnet.addSubnet(address, Number(bits), type);
  return subnet.check(host, type);
}
