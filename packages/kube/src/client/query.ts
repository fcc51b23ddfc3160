type QueryValue = string | number | boolean | undefined;

/** `?a=1&b=2`, or nothing. `undefined` and `""` are left out. */
export function queryString(parameters: Readonly<Record<string, QueryValue>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? "" : `?${text}`;
}
