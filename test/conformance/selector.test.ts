import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  ApiError,
  ConfigMaps,
  createClient,
  fieldSelectorText,
  FleetwrightError,
  labelSelectorText,
  matchesFields,
  matchesLabels,
  parseFieldSelector,
  parseLabelSelector,
  seededRandom,
  type Client,
} from "@fleetwright/kube";
import type { ControlPlane } from "@fleetwright/lab";
import { serverName, startServer } from "../e2e/server.ts";

const seed = Number(process.env["SEED"] ?? 20261121);

const labels: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  none: {},
  a1: { a: "1" },
  a2b: { a: "2", b: "" },
  in: { in: "notin", notin: "in" },
  path: { "example.com/a": "x", a: "10" },
  word: { a: "word", b: "b" },
};

const selectors = [
  "",
  " ",
  ...[
    "a ; !a ; a=1 ; a==1 ; a!=1 ; a= ; b= ; b!= ; a,b ; a,!b ; a in (1,2) ; a notin (1,2) ; b in ()",
    "b in (,) ; b notin (,b) ; a>1 ; a<3 ; a>9 ; a<x ; in ; in in (notin) ; notin notin (in)",
    "example.com/a ; example.com/a=x ; a = 1 , ! b ; a in (1 , 10) ; !example.com/a ; a in (word),b ; ,",
    "a, ; ,a ; a b ; !a=1 ; a in 1 ; a in (1 ; a in (1 2) ; a=1=2 ; a=(1) ; ! ; a in ; a notin ; -a",
    "a=-1 ; a/b/c ; A.com/x ; a===1 ; a=!1 ; a><1 ; a in (1)) ; () ; =1 ; a.b in (x) ; a>1.5 ; a>-1",
  ].flatMap((line) => line.split(" ; ")),
];
const fieldSelectors = [
  "",
  ...[
    "metadata.name=a1 ; metadata.name==a1 ; metadata.name!=a1 ; metadata.name=",
    "metadata.namespace=default ; metadata.name!=a1,metadata.name!=in ; metadata.name=a1,metadata.name=in",
    ", ; metadata.name=a\\,b ; metadata.name ; metadata.name=a=b ; metadata.name=a\\b ; metadata.name=a\\",
    "= ; metadata.name!=a\\=b",
  ].flatMap((line) => line.split(" ; ")),
];

function randomSelectors(count: number): string[] {
  const random = seededRandom(seed);
  const parts = [
    "a",
    "b",
    "in",
    "notin",
    "1",
    "2",
    "x",
    "",
    " ",
    ",",
    "(",
    ")",
    "=",
    "==",
    "!=",
    "!",
    ">",
    "<",
    " in ",
    " notin ",
    "(1,2)",
  ];
  const part = (): string => parts[Math.floor(random.next() * parts.length)] ?? "";
  return Array.from({ length: count }, () => Array.from({ length: 1 + Math.floor(random.next() * 6) }, part).join(""));
}

describe(`selectors on the ${serverName} server (seed ${seed})`, () => {
  let controlPlane: ControlPlane;
  let client: Client;

  beforeAll(async () => {
    controlPlane = await startServer();
    client = createClient({ kubeconfig: controlPlane.kubeconfigPath, maxRetries: 0 });
    for (const [name, own] of Object.entries(labels)) {
      await client.create(ConfigMaps, { metadata: { name, namespace: "default", labels: own } });
    }
  });
  afterAll(async () => {
    await client?.close();
    await controlPlane?.stop();
  });

  async function theirs(options: {
    labelSelector?: string;
    fieldSelector?: string;
  }): Promise<readonly string[] | "refused"> {
    try {
      const { items } = await client.list(ConfigMaps, { namespace: "default", ...options });
      return items.map(({ metadata }) => metadata.name ?? "").filter((name) => name in labels);
    } catch (error) {
      if (error instanceof ApiError && error.httpStatus === 400) return "refused";
      throw error;
    }
  }

  function ours<S>(parse: () => S, matches: (selector: S, name: string) => boolean): readonly string[] | "refused" {
    let selector: S;
    try {
      selector = parse();
    } catch (error) {
      if (error instanceof FleetwrightError && error.code === "FW_SELECTOR") return "refused";
      throw error;
    }
    return Object.keys(labels)
      .filter((name) => matches(selector, name))
      .toSorted();
  }

  const byLabels = (text: string) =>
    ours(
      () => parseLabelSelector(text),
      (selector, name) => matchesLabels(selector, labels[name]),
    );

  it.each(selectors)("label selector %j", async (text) => {
    expect(byLabels(text)).toEqual(await theirs({ labelSelector: text }));
  });

  it("100 random label selectors, and the canonical text of each", async () => {
    for (const text of randomSelectors(100)) {
      const mine = byLabels(text);
      expect({ text, selected: mine }).toEqual({ text, selected: await theirs({ labelSelector: text }) });
      const again =
        mine === "refused" ? "refused" : await theirs({ labelSelector: labelSelectorText(parseLabelSelector(text)) });
      expect({ text, again }).toEqual({ text, again: mine });
    }
  });

  it.each(fieldSelectors)("field selector %j", async (text) => {
    const mine = ours(
      () => parseFieldSelector(text),
      (selector, name) => matchesFields(selector, { metadata: { name, namespace: "default" } }),
    );
    expect(mine).toEqual(await theirs({ fieldSelector: text }));
    const again =
      mine === "refused" ? mine : await theirs({ fieldSelector: fieldSelectorText(parseFieldSelector(text)) });
    expect(again).toEqual(mine);
  });
});
