/**
 * Kubernetes' rules for names and labels (apimachinery pkg/api/validate/content). Each returns the problems in the API
 * server's words; none means valid.
 */

const labelKey = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const labelKeyPattern = new RegExp(`^${labelKey}$`);
const labelKeyRule = regexProblem(
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  labelKey,
  ["MyName", "my.name", "123-abc"],
);

const labelValue = `(${labelKey})?`;
const labelValuePattern = new RegExp(`^${labelValue}$`);
const labelValueRule = regexProblem(
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character",
  labelValue,
  ["MyValue", "my_value", "12345"],
);

const dnsLabel = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const dnsLabelPattern = new RegExp(`^${dnsLabel}$`);
const dnsLabelRule = regexProblem(
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character",
  dnsLabel,
  ["my-name", "123-abc"],
);

const dnsSubdomain = String.raw`${dnsLabel}(\.${dnsLabel})*`;
const dnsSubdomainPattern = new RegExp(`^${dnsSubdomain}$`);
const dnsSubdomainRule = regexProblem(
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character",
  dnsSubdomain,
  ["example.com"],
);

/** Labels, their keys' names and DNS labels. */
const maxLabelBytes = 63;
const maxSubdomainBytes = 253;

/**
 * A label's or annotation's key, or any other qualified name: `name` or `prefix/name`.
 *
 * @example
 * labelKeyProblems("fleetwright.dev/group") // []
 * labelKeyProblems("/group") // ["prefix part must be non-empty"]
 */
export function labelKeyProblems(key: string): string[] {
  if (goodKeys.has(key)) return [];
  const problems = keyProblems(key);
  if (problems.length === 0 && goodKeys.size < maxGoodKeys) goodKeys.add(key);
  return problems;
}

/** The same few keys are on every object. */
const goodKeys = new Set<string>();
const maxGoodKeys = 1000;

function keyProblems(key: string): string[] {
  const parts = key.split("/");
  if (parts.length > 2) {
    return [
      `a valid label key ${labelKeyRule} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`,
    ];
  }
  const problems: string[] = [];
  const [prefix, name = ""] = parts.length === 2 ? parts : [undefined, key];
  if (prefix === "") problems.push("prefix part must be non-empty");
  else if (prefix !== undefined)
    problems.push(...dnsSubdomainProblems(prefix).map((problem) => `prefix part ${problem}`));
  if (name === "") problems.push("name part must be non-empty");
  else problems.push(...tooLong(name, maxLabelBytes).map((problem) => `name part ${problem}`));
  if (!labelKeyPattern.test(name)) problems.push(`name part ${labelKeyRule}`);
  return problems;
}

export function labelValueProblems(value: string): string[] {
  const problems = tooLong(value, maxLabelBytes);
  if (!labelValuePattern.test(value)) problems.push(labelValueRule);
  return problems;
}

/** A name without dots: of a namespace, a container, a Service's part. */
export function dnsLabelProblems(name: string): string[] {
  const problems = tooLong(name, maxLabelBytes);
  if (dnsLabelPattern.test(name)) return problems;
  problems.push(dnsSubdomainPattern.test(name) ? "must not contain dots" : dnsLabelRule);
  return problems;
}

/** The name of most objects. */
export function dnsSubdomainProblems(name: string): string[] {
  const problems = tooLong(name, maxSubdomainBytes);
  if (!dnsSubdomainPattern.test(name)) problems.push(dnsSubdomainRule);
  return problems;
}

/** Labels of an object, each problem with the key it is about. */
export function labelsProblems(labels: Readonly<Record<string, string>>): string[] {
  return Object.entries(labels).flatMap(([key, value]) => [
    ...labelKeyProblems(key).map((problem) => `${JSON.stringify(key)}: ${problem}`),
    ...labelValueProblems(value).map((problem) => `${JSON.stringify(key)}: ${JSON.stringify(value)}: ${problem}`),
  ]);
}

function tooLong(text: string, maxBytes: number): string[] {
  return Buffer.byteLength(text) > maxBytes ? [`must be no more than ${maxBytes} bytes`] : [];
}

function regexProblem(rule: string, expression: string, examples: readonly string[]): string {
  const quoted = examples.map((example) => `'${example}', `).join(" or ");
  return `${rule} (e.g. ${quoted}regex used for validation is '${expression}')`;
}
