import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { findBinaries } from "@fleetwright/lab";
import { FleetwrightError, parseQuantity, seededRandom } from "@fleetwright/kube";
import { beforeAll, describe, expect, it } from "vitest";

const run = promisify(execFile);
const seed = Number(process.env["SEED"] ?? 20261121);

const suffixes = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
const exponents = ["e0", "e1", "e2", "e3", "E3", "e+3", "e-3", "E-9", "e-10", "e18", "e19", "e21", "e100"];
const numbers = ["0", "1", "-1", "+1", "01", "1.", ".5", "0.1", "1.5", "1.500", "-2.25", "100", "999", "1000", "1023"];
const larger = ["1024", "1025", "8", "1536", "123456789", "1234567890123456789", "0.000000001", "1.0000000001"];
const unusual = [
  "+ - . -. +. e3 Ki m 00 000Ki 0.0 -0 1.e3 1.Gi .e3 0e-10 +.5m 9223372036854775807 9223372036854775808",
  "9223372036854775807Ki 8Ei 7Ei -8Ei 8191Pi 8192Pi 999999999999999999 9999999999999999999",
  "99999999999999999.9 0.9Ki 0.99999Ki 1023.5Ki 1.1Mi 0.1n -0.1n 0.5n 1.5n 0.0001u 1000000n",
  "1e4294967296 1e4294967297 1e-4294967296 12e6 1200e4 0.0012e6 1e10000 100000000000000000000000000000",
  "0.000000000000000000001 123e-12 5e-9 000000000000000000000000000001 1000000000000Ki 123456789012Ki",
  "12345678901234Ki 1000m 1500m",
].flatMap((line) => line.split(" "));
const refused = [
  "1 ",
  "1 k",
  ...[
    "1K 1ki 1KI 1kI 1mi 1Kib 1e 1E+ 1e- 1e1.5 1e1e1 1eE3 1m3 1-3 1+ --1 1.2.3 1..2 0x1 1_000 ١ one",
    "NaN Infinity Ei e-10 .e-10 1e99999999999999999999",
  ].flatMap((line) => line.split(" ")),
];

/** Forms of every shape, the same for one seed. */
function randomForms(count: number): string[] {
  const random = seededRandom(seed);
  const below = (bound: number): number => Math.floor(random.next() * bound);
  const digits = (most: number): string => Array.from({ length: below(most + 1) }, () => below(10)).join("");
  const kinds = [...suffixes, ...suffixes, ...exponents];
  return Array.from({ length: count }, () => {
    const sign = ["", "", "", "-", "+"][below(5)] ?? "";
    const zeros = below(4) === 0 ? "000" : "";
    const fraction = below(2) === 0 ? `.${digits(14)}` : "";
    return `${sign}${digits(21)}${zeros}${fraction}${kinds[below(kinds.length)] ?? ""}`;
  }).filter((form) => form !== "");
}

describe(`quantities as kubectl reads them (seed ${seed})`, () => {
  let kubectl = "";
  beforeAll(async () => {
    kubectl = (await findBinaries()).kubectl;
  });

  /** `kubectl create quota` reads and writes every value through Kubernetes' own code. */
  async function canonical(forms: readonly string[]): Promise<readonly string[]> {
    const hard = forms.map((form, index) => `count/a${index}.x=${form}`).join(",");
    const flags = ["create", "quota", "q", `--hard=${hard}`, "--dry-run=client", "--output=json"];
    const { stdout } = await run(kubectl, flags, { maxBuffer: 2 ** 24 });
    const parsed = JSON.parse(stdout) as { readonly spec: { readonly hard: Readonly<Record<string, string>> } };
    return forms.map((_, index) => parsed.spec.hard[`count/a${index}.x`] ?? "");
  }

  const ours = (form: string): string => {
    try {
      return parseQuantity(form).toString();
    } catch (error) {
      if (!(error instanceof FleetwrightError)) throw error;
      return `refused: ${error.message}`;
    }
  };

  /** Kubernetes writes these without their exponent: `1` for `1000E`. */
  const losesItsExponent = (form: string): boolean =>
    !/e/i.test(form.replace(/E$/, "")) && /^-?\d+e\d+$/.test(ours(form));

  async function compare(forms: readonly string[]): Promise<number> {
    const accepted = forms.filter((form) => !ours(form).startsWith("refused") && !losesItsExponent(form));
    const theirs = await canonical(accepted);
    const pairs = accepted.map((form, index) => [form, ours(form), theirs[index]] as const);
    expect(pairs.filter(([, mine, other]) => mine !== other)).toEqual([]);
    return accepted.length;
  }

  it("writes numbers with every suffix and exponent in the same form", async () => {
    const forms = [...numbers, ...larger].flatMap((number) => [...suffixes, ...exponents].map((end) => number + end));
    expect(await compare(forms)).toBeGreaterThan(600);
  });

  it("writes unusual forms in the same form", async () => {
    expect(await compare(unusual)).toBeGreaterThan(50);
  });

  it("writes 3,000 random forms in the same form", async () => {
    expect(await compare(randomForms(3000))).toBeGreaterThan(2000);
  });

  it("keeps the amount of the forms that Kubernetes writes without their exponent", async () => {
    const forms = ["1000E", "1234000E", "1000000000000000000000", "-1000000E"];
    expect(forms.filter((form) => !losesItsExponent(form))).toEqual([]);
    expect(await canonical(forms.map(ours))).toEqual(forms.map(ours));
  });

  it.each(refused)("refuses %j with the same words", async (form) => {
    const said = await canonical([form]).then(
      (texts) => `accepted: ${texts.join()}`,
      (error: { readonly stderr?: string }) => error.stderr ?? "",
    );
    const reason = said.replace(/^error: /, "").trim();
    expect(ours(form)).toContain(`refused: quantity ${JSON.stringify(form)}: ${reason}`);
  });

  it("refuses random forms only where kubectl does", async () => {
    const forms = randomForms(6000).filter((form) => ours(form).startsWith("refused"));
    expect(forms.length).toBeGreaterThan(10);
    for (const form of forms.slice(0, 10)) await expect(canonical([form])).rejects.toThrow(/unable to parse/);
  });
});
