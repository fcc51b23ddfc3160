import { expect, it } from "vitest";
import { sourcesOf } from "./node-debian.ts";

it("keeps the first entry of the machine's sources, with another suite", () => {
  const text = [
    "# a comment",
    "Types: deb",
    "# another",
    "URIs: http://debian.example/debian",
    "Suites: bookworm bookworm-updates",
    "Components: main contrib",
    "Signed-By: /usr/share/keyrings/k.gpg",
    "",
    "Types: deb",
    "URIs: http://security.example",
    "Suites: bookworm-security",
    "",
  ].join("\n");
  expect(sourcesOf(text, "forky")).toEqual({
    format: "sources",
    text: [
      "Types: deb",
      "URIs: http://debian.example/debian",
      "Suites: forky",
      "Components: main",
      "Signed-By: /usr/share/keyrings/k.gpg",
      "",
    ].join("\n"),
  });
});

it("reads one-line sources too", () => {
  const text =
    "deb [signed-by=/k.gpg] http://debian.example/debian bookworm main contrib\ndeb http://b.example x main\n";
  expect(sourcesOf(text, "forky")).toEqual({
    format: "list",
    text: "deb [signed-by=/k.gpg] http://debian.example/debian forky main\n",
  });
});
