/**
 * Names of objects and of their parts, with the API server's words
 * (k8s.io/apimachinery/pkg/util/validation/validation.go and pkg/api/validation/generic.go).
 */

/** What is wrong with a name; with `prefix`, with the beginning of a generated one. None means valid. */
export type NameProblems = (name: string, prefix: boolean) => readonly string[];

const dnsLabel = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const dnsSubdomain = String.raw`${dnsLabel}(\.${dnsLabel})*`;
const dns1035Label = "[a-z]([-a-z0-9]*[a-z0-9])?";
const wildcardSubdomain = String.raw`\*\.${dnsSubdomain}`;
const configKey = "[-._a-zA-Z0-9]+";

const patterns = {
  dnsLabel: new RegExp(`^${dnsLabel}$`),
  dnsSubdomain: new RegExp(`^${dnsSubdomain}$`),
  dns1035Label: new RegExp(`^${dns1035Label}$`),
  wildcardSubdomain: new RegExp(`^${wildcardSubdomain}$`),
  configKey: new RegExp(`^${configKey}$`),
};

/** How the server says that a text does not match an expression. */
export function expressionProblem(rule: string, expression: string, ...examples: readonly string[]): string {
  if (examples.length === 0) return `${rule} (regex used for validation is '${expression}')`;
  const quoted = examples.map((example) => `'${example}', `).join(" or ");
  return `${rule} (e.g. ${quoted}regex used for validation is '${expression}')`;
}

const tooLong = (text: string, maximum: number): string[] =>
  Buffer.byteLength(text) > maximum ? [`must be no more than ${maximum} characters`] : [];

/** `IsDNS1123Label`. Counts in bytes and says characters, as upstream does. */
export function dns1123LabelProblems(text: string): string[] {
  const problems = tooLong(text, 63);
  if (patterns.dnsLabel.test(text)) return problems;
  problems.push(
    patterns.dnsSubdomain.test(text)
      ? "must not contain dots"
      : expressionProblem(
          "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
          dnsLabel,
          "my-name",
          "123-abc",
        ),
  );
  return problems;
}

/** `IsDNS1123Subdomain`. */
export function dns1123SubdomainProblems(text: string): string[] {
  const problems = tooLong(text, 253);
  if (!patterns.dnsSubdomain.test(text)) {
    problems.push(
      expressionProblem(
        "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
        dnsSubdomain,
        "example.com",
      ),
    );
  }
  return problems;
}

/** `IsDNS1035Label`: names of Services. */
export function dns1035LabelProblems(text: string): string[] {
  const problems = tooLong(text, 63);
  if (!patterns.dns1035Label.test(text)) {
    problems.push(
      expressionProblem(
        "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character",
        dns1035Label,
        "my-name",
        "abc-123",
      ),
    );
  }
  return problems;
}

/** `IsWildcardDNS1123Subdomain`: hosts of Ingresses. */
export function wildcardSubdomainProblems(text: string): string[] {
  const problems = tooLong(text, 253);
  if (!patterns.wildcardSubdomain.test(text)) {
    problems.push(
      expressionProblem(
        "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character",
        wildcardSubdomain,
        "*.example.com",
      ),
    );
  }
  return problems;
}

/** `IsConfigMapKey`: keys of ConfigMaps and Secrets. */
export function configKeyProblems(text: string): string[] {
  const problems = tooLong(text, 253);
  if (!patterns.configKey.test(text)) {
    problems.push(
      expressionProblem(
        "a valid config key must consist of alphanumeric characters, '-', '_' or '.'",
        configKey,
        "key.name",
        "KEY_NAME",
        "key-name",
      ),
    );
  }
  if (text === ".") problems.push("must not be '.'");
  else if (text === "..") problems.push("must not be '..'");
  else if (text.startsWith("..")) problems.push("must not start with '..'");
  return problems;
}

/** `IsValidPortName`: an IANA service name. */
export function portNameProblems(text: string): string[] {
  const problems = tooLong(text, 15);
  if (!/^[-a-z0-9]+$/.test(text)) {
    problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)");
  }
  if (!/[a-z]/.test(text)) problems.push("must contain at least one letter (a-z)");
  if (text.includes("--")) problems.push("must not contain consecutive hyphens");
  if (text.startsWith("-") || text.endsWith("-")) problems.push("must not begin or end with a hyphen");
  return problems;
}

/** `IsPathSegmentName`: names that may hold almost anything. */
export const pathSegmentProblems: NameProblems = (name, prefix) => [
  ...(!prefix && (name === "." || name === "..") ? [`may not be '${name}'`] : []),
  ...["/", "%"].filter((illegal) => name.includes(illegal)).map((illegal) => `may not contain '${illegal}'`),
];

// Upstream takes two characters away for the dash and puts one back; the length is what counts.
const masked = (name: string, prefix: boolean): string =>
  prefix && name.length > 1 && name.endsWith("-") ? `${name.slice(0, -2)}a` : name;

/** The names of most objects. */
export const subdomainName: NameProblems = (name, prefix) => dns1123SubdomainProblems(masked(name, prefix));
/** Namespaces. */
export const labelName: NameProblems = (name, prefix) => dns1123LabelProblems(masked(name, prefix));
