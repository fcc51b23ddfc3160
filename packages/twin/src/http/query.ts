/** What `%` may be followed by, and what Go's reader takes for no parameter at all. */
const unreadable = /%(?![0-9a-fA-F]{2})|;/;

/** Nobody changes it. */
const none = new URLSearchParams();

/** The parameters of a request as Go's `url.ParseQuery` reads them: what it cannot read is left out. */
export function parseQuery(text: string): URLSearchParams {
  if (text === "") return none;
  if (!unreadable.test(text)) return new URLSearchParams(text);
  return new URLSearchParams(
    text
      .split("&")
      .filter((pair) => !unreadable.test(pair))
      .join("&"),
  );
}
