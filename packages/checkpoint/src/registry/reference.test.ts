import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { formatReference, parseReference } from "./reference.ts";

const digest = `sha256:${"ab".repeat(32)}`;

describe("a reference", () => {
  it.each([
    ["localhost/web", { registry: "localhost", repository: "web" }],
    ["localhost:5000/web:1", { registry: "localhost:5000", repository: "web", tag: "1" }],
    ["[::1]:5000/a/b", { registry: "[::1]:5000", repository: "a/b" }],
    [
      `reg.example.com/team/my-app__x.y:V1.0_a@${digest}`,
      { registry: "reg.example.com", repository: "team/my-app__x.y", tag: "V1.0_a", digest },
    ],
    [`10.0.0.1/a@${digest}`, { registry: "10.0.0.1", repository: "a", digest }],
  ])("reads %s", (text, expected) => {
    expect(parseReference(text)).toEqual(expected);
    expect(formatReference(parseReference(text))).toBe(text);
  });

  it.each([
    ["web:1", "names no registry"],
    ["team/web:1", "names no registry"],
    ["", "names no registry"],
    ["https://reg.example.com/web", "has no https://"],
    ["docker.io/library/busybox", "registry-1.docker.io"],
    ["reg.example.com/Web", "is not a repository"],
    ["reg.example.com/", "is not a repository"],
    ["reg.example.com/a//b", "is not a repository"],
    ["reg.example.com/../x", "is not a repository"],
    [`reg.example.com/${"a".repeat(250)}`, "is not a repository"],
    ["reg.example.com:99999/web", "is not a host"],
    ["reg_x.example.com/web", "is not a host"],
    ["reg.example.com/web:", "is not a tag"],
    ["reg.example.com/web:a/b", "is not a tag"],
    [`reg.example.com/web:${"a".repeat(129)}`, "is not a tag"],
    ["reg.example.com/web@sha256:12", "is not a digest"],
    [`reg.example.com/web@sha512:${"ab".repeat(64)}`, "is not a digest"],
    [`reg.example.com/web@${digest}@${digest}`, "more than one @"],
  ])("refuses %s", (text, problem) => {
    expect(() => parseReference(text)).toThrow(
      expect.objectContaining({
        code: "FW_CHECKPOINT_REFERENCE",
        message: expect.stringContaining(problem) as string,
      }) as Error,
    );
  });

  it("is read or refused whatever the text, and what is read is written the same", () => {
    const piece = fc.stringMatching(/^[a-zA-Z0-9._:@/[\]-]{0,24}$/);
    fc.assert(
      fc.property(
        fc.oneof(
          piece,
          piece.map((text) => `r.io/${text}`),
        ),
        (text) => {
          const outcome = ((): string => {
            try {
              return formatReference(parseReference(text));
            } catch (error) {
              return (error as { readonly code: string }).code;
            }
          })();
          expect([text, "FW_CHECKPOINT_REFERENCE"]).toContain(outcome);
        },
      ),
      { seed: 7, numRuns: 2000 },
    );
  });
});
