import { VirtualClock } from "@fleetwright/kube";
import { describe, expect, it } from "vitest";
import { createAuthorizer, scopeOf } from "./authorization.ts";
import type { AskTokenServer } from "./authorization.ts";
import type { RegistryCredential } from "./docker-config.ts";

const pull = [scopeOf("web", "pull")];
const push = [scopeOf("web", "pull", "push")];
const bearer = 'Bearer realm="https://auth.io/token?x=1",service="reg"';

/** A token server that answers as a function says and counts its calls. */
function setUp(
  credential: RegistryCredential | undefined,
  answer: (call: number) => unknown = (call) => ({ token: `t${call}`, expires_in: 100 }),
) {
  const clock = new VirtualClock();
  const calls: string[] = [];
  let asked = 0;
  const ask: AskTokenServer = ({ method, url, headers, body }) => {
    calls.push([method, url.href, headers["authorization"] ?? "", body ?? ""].join(" ").trim());
    const value = answer(calls.length);
    return Promise.resolve(
      typeof value === "number"
        ? { status: value, body: "" }
        : { status: 200, body: typeof value === "string" ? value : JSON.stringify(value) },
    );
  };
  const credentials = (): Promise<RegistryCredential | undefined> => {
    asked++;
    return Promise.resolve(credential);
  };
  const mayAsk = (url: URL): boolean => url.protocol === "https:";
  const authorizer = createAuthorizer({ registry: "reg.io", credentials, ask, mayAsk, clock });
  const first = (scopes = pull, challenge = bearer): Promise<string | undefined> =>
    authorizer.renew("web", scopes, { challenge, refused: undefined });
  return { authorizer, calls, clock, first, asked: () => asked };
}

describe("a registry's authorization", () => {
  it("is nothing until the registry asks", async () => {
    const { authorizer, asked } = setUp({ kind: "password", username: "a", password: "b" });
    expect(await authorizer.header("web", pull)).toBeUndefined();
    expect(asked()).toBe(0);
  });

  it("is the password where the registry takes that, asked for once", async () => {
    const { authorizer, first, asked } = setUp({ kind: "password", username: "a", password: "b" });
    expect(await first(pull, 'Basic realm="x"')).toBe("Basic YTpi");
    expect(await authorizer.header("web", pull)).toBe("Basic YTpi");
    expect(asked()).toBe(1);
    // The same again would be refused again.
    expect(await authorizer.renew("web", pull, { challenge: "Basic", refused: "Basic YTpi" })).toBeUndefined();
  });

  it("is a token for a password by GET, kept until shortly before it expires, per scope", async () => {
    const { authorizer, first, calls, clock } = setUp({ kind: "password", username: "a", password: "b" });
    expect(await first()).toBe("Bearer t1");
    expect(calls).toEqual([
      "GET https://auth.io/token?x=1&service=reg&scope=repository%3Aweb%3Apull&account=a Basic YTpi",
    ]);
    expect(await authorizer.header("web", pull)).toBe("Bearer t1");
    expect(await authorizer.header("web", push)).toBe("Bearer t2");
    await clock.advance(89_000);
    expect(await authorizer.header("web", pull)).toBe("Bearer t1");
    await clock.advance(2000);
    expect(await authorizer.header("web", pull)).toBe("Bearer t3");
  });

  it("is a token for an identity token by POST", async () => {
    const { first, calls } = setUp({ kind: "identity-token", token: "r&t" }, () => ({ access_token: "abc" }));
    expect(await first()).toBe("Bearer abc");
    expect(calls).toEqual([
      "POST https://auth.io/token?x=1  grant_type=refresh_token&service=reg&client_id=fleetwright&scope=repository%3Aweb%3Apull&refresh_token=r%26t",
    ]);
  });

  it("is a registry token as it is, and a token without credentials for nobody", async () => {
    expect(await setUp({ kind: "registry-token", token: "r" }).first()).toBe("Bearer r");
    const { first, calls } = setUp(undefined);
    expect(await first()).toBe("Bearer t1");
    expect(calls[0]).toMatch(/scope=repository%3Aweb%3Apull$/);
  });

  it("is asked for once by calls that come together", async () => {
    const { authorizer, first, calls } = setUp(undefined);
    await first();
    expect(await Promise.all([1, 2, 3].map(() => authorizer.header("web", push)))).toEqual([
      "Bearer t2",
      "Bearer t2",
      "Bearer t2",
    ]);
    // A call that was refused before that token came takes it.
    expect(await authorizer.renew("web", push, { challenge: bearer, refused: "Bearer t0" })).toBe("Bearer t2");
    expect(await authorizer.renew("web", push, { challenge: bearer, refused: "Bearer t2" })).toBe("Bearer t3");
    expect(calls).toHaveLength(3);
  });

  it("asks for what the registry names beyond what we need", async () => {
    const { first, calls } = setUp(undefined);
    await first(push, `${bearer},scope="repository:web:pull repository:other:pull"`);
    expect(calls[0]).toContain("scope=repository%3Aweb%3Apull%2Cpush&scope=repository%3Aother%3Apull");
    expect(calls[0]?.match(/scope=/g)).toHaveLength(2);
  });

  it.each([
    ["refused us without credentials (403)", 403],
    ["holds no token", "not JSON"],
    ["holds no token", { token: "two\r\nlines" }],
    ["holds no token", {}],
  ])("says that the token server %s", async (problem, answer) => {
    await expect(setUp(undefined, () => answer).first()).rejects.toThrow(problem);
  });

  it("sends no secret in plain text", async () => {
    const { first, calls } = setUp({ kind: "password", username: "a", password: "b" });
    await expect(first(pull, 'Bearer realm="http://auth.io/token"')).rejects.toThrow("in plain text");
    await expect(first(pull, 'Bearer service="x"')).rejects.toThrow("no URL");
    expect(await first(pull, "Negotiate")).toBeUndefined();
    expect(calls).toEqual([]);
  });
});
