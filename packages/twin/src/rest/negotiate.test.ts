import { describe, expect, it } from "vitest";
import type { Call } from "../machinery/request.ts";
import { allForms, negotiate, plainOnly } from "./negotiate.ts";

const call = (accept: string, query = "", userAgent = ""): Call => ({
  method: "GET",
  path: "/",
  query: new URLSearchParams(query),
  headers: { accept, "user-agent": userAgent },
  body: () => Promise.resolve(Buffer.alloc(0)),
  signal: new AbortController().signal,
});

const table = "application/json;as=Table;v=v1;g=meta.k8s.io";

describe("what a client accepts", () => {
  it("is JSON where it says nothing or anything", () => {
    for (const accept of ["", "*/*", "application/*", "application/json"]) {
      expect(negotiate(call(accept), plainOnly)).toEqual({ format: "json", pretty: false, asValue: false });
    }
  });

  it("is a table where kubectl asks for one first", () => {
    expect(negotiate(call(`${table},application/json`), allForms).convert).toEqual({ kind: "Table", version: "v1" });
  });

  it("is the next clause where a form is not to be had", () => {
    expect(negotiate(call(`${table},application/json`), plainOnly).convert).toBeUndefined();
  });

  it("follows qualities before order", () => {
    expect(negotiate(call("application/json;q=0.1,application/yaml"), plainOnly).format).toBe("yaml");
  });

  it("skips protobuf, and refuses it alone", () => {
    expect(negotiate(call("application/vnd.kubernetes.protobuf,application/json"), plainOnly).format).toBe("json");
    expect(() => negotiate(call("application/vnd.kubernetes.protobuf"), plainOnly)).toThrow(
      /only the following media types are accepted/,
    );
    expect(() => negotiate(call(table), plainOnly)).toThrow(/only the following media types/);
  });

  it("is indented for people", () => {
    expect(negotiate(call("*/*", "", "curl/8.0"), plainOnly).pretty).toBe(true);
    expect(negotiate(call("*/*", "pretty=false", "curl/8.0"), plainOnly).pretty).toBe(false);
  });
});
